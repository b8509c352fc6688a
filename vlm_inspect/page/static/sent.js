// A part that was sent: its picture, what is at work on it, and the steps of an agent as they are taken.
import { ask, element, errorWords, fill, follow } from "./page.js";

const list = document.getElementById("sent");
const SVG = "http://www.w3.org/2000/svg";

export class SentPart {
  /** A part of a name; `file` where this browser sent it. */
  constructor(name, file = null) {
    this.words = JSON.parse(document.getElementById("sent-words").textContent);
    this.row = element("li");
    this.field = element("div", { class: "sent-picture" });
    this.state = element("span", { role: "status" }, list.dataset.sending);
    this.clock = element("span", { class: "faint number", "aria-hidden": "true" });
    this.steps = element("ol", { class: "steps", "aria-live": "polite" });
    const head = element("p", { class: "sent-head" });
    head.append(element("strong", {}, name), " ", this.state, " ", this.clock);
    const body = element("div");
    body.append(head, this.steps);
    this.row.append(this.field, body);
    list.prepend(this.row);
    const began = performance.now();
    this.timer = setInterval(() => { this.clock.textContent = `${Math.round((performance.now() - began) / 1000)} s`; }, 1000);
    if (file) this.show(file);
  }

  /** Follow what becomes of it until it is a case; throws where it cannot be one. */
  async follow(id) {
    let last = {};
    await follow(await ask(`/v1/inspections/${id}/events`), (name, told) => {
      if (name === "step") return this.take(told);
      last = told;
      if (told.state in this.words) this.say(`${fill(this.words[told.state], told)}${told.step ? `: ${this.doing(told.step)}` : ""}`);
      return undefined;
    });
    if (last.state === "failed") throw new Error(last.error);
    if (last.state !== "done") throw new Error(errorWords.offline);
  }

  /** What is at work on it, in the words of the page where it has some. */
  doing(step) {
    const known = this.words[`doing_${step.replace(/\d+/g, "n").replace(/\W+/g, "_")}`];
    return known ? fill(known, { ...step.match(/\d+/g) }) : step;
  }

  /** Show the part at once, where the browser can. */
  async show(file) {
    if (!file.type.startsWith("image/")) return;
    const picture = element("img", { alt: "" });
    picture.src = URL.createObjectURL(file);
    try {
      await picture.decode();
    } catch {
      return; // a format that browsers do not draw
    }
    this.field.append(picture);
  }

  say(text) {
    this.state.textContent = text;
  }

  /** Show a step: what it is for, what it called, where it looked, what was said. */
  take(step) {
    const row = element("li");
    const what = [step.tool, step.arguments && shortly(step.arguments)].filter(Boolean).join(" ");
    row.append(element("span", { class: "chip" }, String(step.n)));
    const text = element("span");
    text.append(element("strong", {}, this.words[`phase_${step.phase}`]), " ");
    if (what) text.append(element("code", {}, what));
    text.append(element("br"), element("span", {}, step.said));
    row.append(text);
    this.steps.append(row);
    this.point(step.saw);
  }

  /** Mark where the step looked, on a photo's own view; tiles and other views are pictures that the page has not yet. */
  point(saw) {
    const picture = this.field.querySelector("img");
    this.field.querySelector("svg")?.remove();
    const boxes = saw.filter((one) => one.view === 0 && one.box_xyxyn).map((one) => one.box_xyxyn);
    if (!picture || !boxes.length) return;
    const drawn = document.createElementNS(SVG, "svg");
    drawn.setAttribute("viewBox", "0 0 1 1");
    drawn.setAttribute("preserveAspectRatio", "none");
    drawn.setAttribute("class", "boxes");
    for (const [x0, y0, x1, y1] of boxes) {
      for (const kind of ["rim", "box"]) {
        const box = document.createElementNS(SVG, "rect");
        const place = { class: kind, x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
        for (const [name, value] of Object.entries(place)) box.setAttribute(name, value);
        drawn.append(box);
      }
    }
    this.field.append(drawn);
  }

  fail(text) {
    clearInterval(this.timer);
    this.say(text);
    this.row.className = "failed";
  }
}

function shortly(values) {
  const text = Object.entries(values).map(([name, value]) => `${name} ${Array.isArray(value) ? value.join(", ") : value}`).join("; ");
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
