// A case: look, judge, talk, correct.
import { ask, element, fill, follow, say, wordsOf } from "./page.js";
import "./viewer.js";

const judgeForm = document.getElementById("judge-form");
judgeForm?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const id = document.getElementById("judge").dataset.case;
  const json = { outcome: event.submitter.value, reason: new FormData(judgeForm).get("reason") };
  try {
    await ask(`/v1/inspections/${id}/judgement`, { method: "POST", json });
    location.reload();
  } catch (error) {
    say(error.message);
  }
});

const talk = document.getElementById("talk");
if (talk) {
  const turns = document.getElementById("turns");
  const form = document.getElementById("ask-form");

  const article = (role, text) => {
    const turn = element("article", { class: `turn ${role}` });
    turn.append(element("p", { class: "text" }, text));
    turns.append(turn);
    turns.scrollTop = turns.scrollHeight;
    return turn;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = form.elements.text.value.trim();
    if (!text) return;
    form.elements.text.value = "";
    article("user", text);
    const turn = article("assistant", talk.dataset.asking);
    const words = turn.querySelector("p");
    let begun = false;
    turns.setAttribute("aria-busy", "true");
    try {
      const stream = await ask(`/v1/inspections/${talk.dataset.case}/messages`, { method: "POST", json: { text } });
      await follow(stream, (name, told) => {
        if (name === "words") {
          words.textContent = (begun ? words.textContent : "") + told.text;
          begun = true;
        } else if (name === "called") turn.append(element("p", { class: "faint" }, `${told.name} ${told.arguments}`));
        else if (name === "note") turn.append(element("p", { class: "faint" }, told.text));
        else if (name === "proposal") put(told);
        else if (name === "error") words.textContent = told.error;
        else if (name === "done") {
          words.textContent = told.text;
          for (const address of told.pictures) turn.append(element("img", { src: address, alt: "" }));
        }
        turns.scrollTop = turns.scrollHeight;
      });
    } catch (error) {
      words.textContent = error.message;
    }
    turns.removeAttribute("aria-busy");
  });
}

const correct = document.getElementById("correct");
const proposals = document.getElementById("proposals");

/** Show a proposal: the difference, what would turn, and the question. */
function put(told) {
  if (!correct) return;
  const words = wordsOf(correct);
  correct.querySelector("details").open = true;
  const card = element("section", { class: "proposal" });
  card.append(element("h3", {}, told.title));
  const diff = element("pre", { tabindex: "0", class: "diff" });
  for (const line of told.diff.split("\n")) {
    const kind = line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "";
    diff.append(element("span", { class: kind }, `${line}\n`));
  }
  card.append(diff, element("p", {}, fill(told.turned ? words.would_turn : words.would_turn_none, told)));
  const list = element("ul");
  for (const one of told.flips) {
    const row = element("li");
    row.append(element("a", { href: `/cases/${one.id}` }, one.name), `: ${one.before} → ${one.now} (${one.because})`);
    list.append(row);
  }
  card.append(list);
  if (told.untold.length) card.append(element("p", { class: "faint" }, fill(words.not_told, { count: told.untold.length })));
  const row = element("div", { class: "row" });
  for (const [accepted, text] of [[true, words.accept], [false, words.refuse]]) {
    const button = element("button", { type: "button", class: accepted ? "strong" : "" }, text);
    button.addEventListener("click", async () => {
      try {
        await ask(`/v1/inspections/${correct.dataset.case}/corrections/${told.number}`, { method: "POST", json: { accepted } });
        row.replaceWith(element("p", { role: "status" }, accepted ? words.changed : words.unchanged));
      } catch (error) {
        say(error.message);
      }
    });
    row.append(button);
  }
  card.append(row);
  proposals.prepend(card);
}

const correctForm = document.getElementById("correct-form");
if (correctForm) {
  const fields = correctForm.elements;
  const choose = () => {
    for (const field of correctForm.querySelectorAll("[data-for]")) {
      field.hidden = !field.dataset.for.split(" ").includes(fields.kind.value);
    }
  };
  fields.kind.addEventListener("change", choose);
  choose();
  const number = (text) => (text === "" ? null : Number(text));
  const wanted = () => {
    const kind = fields.kind.value;
    const told = { kind, reason: fields.reason.value };
    if (kind === "ignore") {
      const mark = fields.mark.selectedOptions[0];
      return { ...told, view: Number(mark.dataset.view), box_xyxyn: JSON.parse(mark.dataset.box) };
    }
    if (kind === "defect") return { ...told, text: fields.word.value || null };
    if (kind === "remove_rule") return { ...told, rule_id: fields.rule_id.value || null };
    const bounds = { minimum: number(fields.minimum.value), maximum: number(fields.maximum.value) };
    return { ...told, rule_id: fields.rule_id.value || null, text: fields.rule_text.value || null, ...bounds };
  };
  correctForm.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const address = `/v1/inspections/${correct.dataset.case}/corrections`;
      put(await (await ask(address, { method: "POST", json: wanted() })).json());
    } catch (error) {
      say(error.message);
    }
  });
}

// 3-D loads only where somebody wants it: it is the largest script of all.
document.getElementById("turn-on")?.addEventListener("click", async (event) => {
  event.target.hidden = true;
  const { turn } = await import("./turn.js");
  await turn(document.getElementById("turn"));
});
