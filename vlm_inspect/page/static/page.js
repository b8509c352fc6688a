// What every page shares: sending changes, telling the person, light or dark.

const proof = document.querySelector('meta[name="proof"]').content;
const words = JSON.parse(document.getElementById("words").textContent);

/** Ask the service; throws an Error in words where it refuses. */
export async function ask(address, options = {}) {
  const headers = { ...(options.headers || {}) };
  if (proof) headers["X-CSRF-Token"] = proof;
  let body = options.body;
  if (options.json !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(options.json);
  }
  let answer;
  try {
    answer = await fetch(address, { method: options.method || "GET", headers, body, credentials: "same-origin" });
  } catch {
    throw new Error(words.offline);
  }
  if (answer.status === 401) location.assign(`/login?to=${encodeURIComponent(location.pathname + location.search)}`);
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error((await saidHere(told.error)) || `${answer.status} ${answer.statusText}`);
  }
  return answer;
}

/** Return what the service said, which is English, in the language of the page; as it is where that cannot be had. */
export async function saidHere(text) {
  if (!text || document.documentElement.lang === "en") return text;
  try {
    const answer = await fetch(`/said?text=${encodeURIComponent(text.slice(0, 2000))}`, { credentials: "same-origin" });
    return answer.ok ? (await answer.json()).said : text;
  } catch {
    return text;
  }
}

/** Follow server-sent events of an answer; calls `take(name, values)` for each. */
export async function follow(answer, take) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const name = lines.find((line) => line.startsWith("event: "))?.slice(7);
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      if (!name) continue;
      const values = JSON.parse(data);
      if (values.error) values.error = await saidHere(values.error);
      take(name, values);
    }
  }
}

/** Tell the person something, on the screen and to a screen reader. */
export function say(text) {
  const place = document.getElementById("message");
  place.textContent = text;
  place.classList.toggle("shown", Boolean(text));
  clearTimeout(say.timer);
  say.timer = setTimeout(() => place.classList.remove("shown"), 8000);
}

/** Return a new element with attributes and text. */
export function element(name, attributes = {}, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

/** Return the words that a part of the page carries for its script. */
export function wordsOf(place) {
  return JSON.parse(place.querySelector("script.words").textContent);
}

/** Fill {name} in a text. */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Return a number with so many digits after the decimal sign of the page's language. */
export function decimal(value, digits) {
  const places = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value.toLocaleString(document.documentElement.lang, { ...places, useGrouping: false });
}

export const errorWords = words;

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

setTheme(localStorage.getItem("theme"));
document.getElementById("theme").addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  localStorage.setItem("theme", next);
  setTheme(next);
});
document.getElementById("sign-out")?.addEventListener("click", async () => {
  await ask("/v1/session", { method: "DELETE" });
  location.assign("/login");
});
document.getElementById("print")?.addEventListener("click", () => print());
