// Reload when a mail has come, and forget all mails on request.
const newest = document.body.dataset.newest;
setInterval(async () => {
  const answer = await fetch("/messages").then((r) => r.json()).catch(() => null);
  if (answer && (answer.messages[0]?.id ?? "") !== newest) location.reload();
}, 2000);
document.getElementById("clear")?.addEventListener("click", async () => {
  await fetch("/messages", { method: "DELETE" });
  location = "/";
});
