const form = document.querySelector("form");
const query = new URLSearchParams(location.search);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("/api/auth/accept-invitation", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      staffId: Number(query.get("staffId")),
      token: query.get("token") || "",
      password: form.elements.password.value,
    }),
  });
  const body = await answer.json();
  form.querySelector("[role=status]").textContent = body.message || body.error;
  form.querySelector("button").disabled = answer.ok;
});
