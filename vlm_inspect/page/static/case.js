// A case: look, judge, talk, correct.
import { ask, element, follow, say, wordsOf } from "./page.js";
import { proposalCard, workOut } from "./proposal.js";
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
          for (const address of told.pictures) turn.append(element("img", { src: address, alt: talk.dataset.picture }));
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

/** Show a proposal that a correction or the talk made. */
function put(told) {
  if (!correct) return;
  correct.querySelector("details").open = true;
  proposals.prepend(proposalCard(told, wordsOf(correct), `/v1/inspections/${correct.dataset.case}/corrections/${told.number}`));
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

const learn = document.getElementById("make-reference");
learn?.addEventListener("click", () => {
  const place = document.getElementById("reference-proposal");
  const address = `/v1/inspections/${learn.dataset.case}`;
  workOut(learn, place, `${address}/reference`, {}, (told, words) => proposalCard(told, words, `${address}/corrections/${told.number}`));
});

// 3-D loads only where somebody wants it: it is the largest script of all.
document.getElementById("turn-on")?.addEventListener("click", async (event) => {
  event.target.hidden = true;
  const { turn } = await import("./turn.js");
  await turn(document.getElementById("turn"));
});
