// A change that is proposed: what it would be, which kept cases would turn, and the question.
import { ask, decimal, element, fill, follow, say, wordsOf } from "./page.js";

/** Return the card of a proposal; `address` takes the answer. */
export function proposalCard(told, words, address) {
  const card = element("section", { class: "proposal", tabindex: "-1" });
  if (told.title) card.append(element("h3", {}, told.title));
  if (told.diff) card.append(diffOf(told.diff));
  if (told.outcomes) {
    card.append(element("p", {}, fill(words.calibration_from, told)));
    const range = { ok_below: decimal(told.ok_below, 3), ng_above: decimal(told.ng_above, 3) };
    card.append(element("p", {}, fill(words.calibration_bounds, range)));
    card.append(element("p", {}, fill(words.calibration_outcomes, told.outcomes)));
  }
  card.append(element("p", { class: "would-turn" }, fill(told.turned ? words.would_turn : words.would_turn_none, told)));
  const list = element("ul");
  for (const one of told.flips) {
    const row = element("li");
    row.append(element("a", { href: `/cases/${one.id}` }, one.name), `: ${one.before} → ${one.now} (${one.because})`);
    list.append(row);
  }
  card.append(list);
  if (told.untold?.length) card.append(untoldOf(told.untold, words));
  if (told.calibration_lost) card.append(element("p", { class: "notice" }, words.calibration_lost));
  card.append(question({ ...words, changed: told.outcomes ? words.calibration_holds : words.changed }, address));
  return card;
}

function diffOf(text) {
  const diff = element("pre", { tabindex: "0", class: "diff" });
  for (const line of text.split("\n")) {
    const kind = line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "";
    diff.append(element("span", { class: kind }, `${line}\n`));
  }
  return diff;
}

function untoldOf(untold, words) {
  const more = element("details");
  more.append(element("summary", { class: "faint" }, fill(words.not_told, { count: untold.length })));
  const list = element("ul", { class: "faint" });
  for (const line of untold) list.append(element("li", {}, line));
  more.append(list);
  return more;
}

function question(words, address) {
  const row = element("div", { class: "row" });
  for (const [accepted, text] of [[true, words.accept], [false, words.refuse]]) {
    const button = element("button", { type: "button", class: accepted ? "strong" : "" }, text);
    button.addEventListener("click", async () => {
      try {
        await ask(address, { method: "POST", json: { accepted } });
        row.replaceWith(element("p", { role: "status" }, accepted ? words.changed : words.unchanged));
      } catch (error) {
        say(error.message);
      }
    });
    row.append(button);
  }
  return row;
}

/** Let the service work a proposal out, show how far it is, and put its card into `place`, which carries the words. */
export async function workOut(button, place, address, json, cardOf) {
  const words = wordsOf(place);
  for (const old of place.querySelectorAll(".proposal, .working")) old.remove();
  const working = element("p", { class: "working", role: "status" }, words.working);
  place.append(working);
  button.disabled = true;
  try {
    await follow(await ask(address, { method: "POST", json }), (name, told) => {
      if (name === "progress") working.textContent = `${words.working} ${told.step}`;
      else if (name === "error") working.textContent = told.error;
      else {
        const card = cardOf(told, words);
        working.replaceWith(card);
        card.focus();
      }
    });
  } catch (error) {
    working.textContent = error.message;
  }
  button.disabled = false;
}
