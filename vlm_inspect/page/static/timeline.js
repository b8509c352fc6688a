// A curve or a clip over time: lines with their marked stretches, the clip to play, the stretches as a list.
import { ask, decimal, element, fill, wordsOf } from "./page.js";
import { Charts } from "./chart.js";
import { Film } from "./film.js";

const place = document.getElementById("timeline");
const words = wordsOf(place);

function when(told, one) {
  const text = (time) => (told.clock === "s" ? `${decimal(time, 2)} s` : `${told.clock === "frame" ? words.frame : words.sample} ${Math.round(time)}`);
  return one.first === one.last ? text(one.peak) : fill(words.span, { first: text(one.first), last: text(one.last), peak: text(one.peak) });
}

function list(told, go) {
  const rows = document.getElementById("stretches");
  for (const [number, one] of told.stretches.entries()) {
    const button = element("button", { type: "button", class: "defect-row" });
    const text = element("span");
    text.append(element("strong", {}, when(told, one)), " ");
    const names = one.channels.map((channel) => told.lines[channel].name).join(", ");
    if (names && told.lines.length > 1) text.append(element("span", { class: "faint" }, names), " ");
    if (one.score !== null) text.append(element("span", { class: "faint number" }, decimal(one.score, 2)));
    text.append(element("br"), element("span", {}, one.text));
    button.append(element("span", { class: "chip" }, String(number + 1)), text);
    button.addEventListener("click", () => go(number));
    const row = element("li");
    row.append(button);
    rows.append(row);
  }
}

/** Leave out what the tool says: its marks, and the number that every frame of a clip has. */
function hide(told) {
  told.stretches = [];
  told.normal_until = null;
  told.lines = told.lines.filter((line) => line.limit === null && told.kind === "curve");
}

async function show() {
  let told;
  try {
    told = await (await ask(place.dataset.timeline)).json();
  } catch (error) {
    const none = document.getElementById("timeline-none");
    none.textContent = error.message;
    none.hidden = false;
    return;
  }
  if (place.dataset.blind === "true") hide(told);
  for (const line of told.lines) if (line.name === "P(anomalous)") line.name = words.score;
  let film = null;
  const clock = { s: words.seconds, frame: words.frame, sample: words.sample }[told.clock];
  const seek = (time) => film?.seek(film.frameAt(time));
  const charts = told.lines.length ? new Charts(document.getElementById("charts"), told, { clock }, seek) : null;
  if (told.film) {
    const field = document.getElementById("film");
    field.hidden = false;
    film = new Film(field, told, place.dataset.address, (time) => charts?.playhead(time));
  }
  const go = (number) => {
    charts?.point(number, film === null);
    seek(told.stretches[number].peak);
  };
  list(told, go);
  if (charts) {
    document.getElementById("chart-field").hidden = false;
    document.getElementById("chart-closer").addEventListener("click", () => charts.scale(1 / 1.5));
    document.getElementById("chart-farther").addEventListener("click", () => charts.scale(1.5));
    document.getElementById("chart-whole").addEventListener("click", () => charts.show(charts.whole));
    await charts.build();
  }
  for (const row of document.querySelectorAll(".defect-row[data-defect]")) {
    const number = told.stretches.findIndex((one) => String(one.defect) === row.dataset.defect);
    if (number >= 0) row.addEventListener("click", () => go(number));
  }
  if (told.left_out) place.append(element("p", { class: "faint" }, fill(words.left_out, { count: told.left_out })));
  if (film) await film.seek(told.stretches.length ? film.frameAt(told.stretches[0].peak) : 0).catch(() => {});
  place.dataset.ready = "true";
}

show();
