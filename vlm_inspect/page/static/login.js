// Show a token once; the service answers with a cookie.
import { saidHere, say } from "./page.js";

const form = document.getElementById("login");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ token: new FormData(form).get("token") });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch("/v1/session", { method: "POST", headers, body, credentials: "same-origin" });
  if (answer.ok) location.assign(form.dataset.to);
  else say(await saidHere((await answer.json()).error));
});
