const button = document.querySelector("button");
const query = new URLSearchParams(location.search);
button.addEventListener("click", async () => {
  button.disabled = true;
  const answer = await fetch("/api/customers/disown", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ customerId: query.get("customerId") || "", token: query.get("token") || "" }),
  });
  const body = await answer.json();
  document.querySelector("[role=status]").textContent = body.message || body.error;
  button.disabled = answer.ok;
});
