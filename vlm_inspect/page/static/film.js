// The frames of a clip: played, searched, with the place of an event marked. They come in sheets of sixteen, four a row,
// because a browser plays few of the formats that cameras write.

import { decimal } from "./page.js";

const SHEET = 16;
const ROW = 4;
const KEPT = 12;

export class Film {
  /** `told` is the timeline; `moved(time)` is called with every frame that is shown. */
  constructor(place, told, address, moved) {
    Object.assign(this, { place, told, address, moved, sheets: new Map(), frame: 0, playing: false });
    this.canvas = place.querySelector("canvas");
    this.button = place.querySelector(".film-play");
    this.clock = place.querySelector("output");
    this.speed = place.querySelector(".film-speed");
    this.button.addEventListener("click", () => (this.playing ? this.stop() : this.play()));
    place.querySelector(".film-back").addEventListener("click", () => this.step(-1));
    place.querySelector(".film-on").addEventListener("click", () => this.step(1));
    this.canvas.addEventListener("keydown", (event) => this.press(event));
  }

  get last() {
    return this.told.film.count - 1;
  }

  /** The time of a frame: between two known ones it runs evenly. */
  timeOf(frame) {
    return between(this.told.film.marks, frame, 0, 1);
  }

  frameAt(time) {
    return Math.min(Math.max(Math.round(between(this.told.film.marks, time, 1, 0)), 0), this.last);
  }

  sheet(number) {
    if (!this.sheets.has(number)) {
      const picture = new Image();
      picture.src = `${this.address}/frames/${number * SHEET}.jpg?count=${SHEET}`;
      this.sheets.set(number, picture.decode().then(() => picture));
      if (this.sheets.size > KEPT) this.sheets.delete(this.sheets.keys().next().value);
    }
    return this.sheets.get(number);
  }

  /** Show a frame, sharp; resolves when it is drawn. */
  async seek(frame) {
    this.stop();
    this.frame = Math.min(Math.max(frame, 0), this.last);
    this.tell();
    const wanted = this.frame;
    const picture = new Image();
    picture.src = `${this.address}/frames/${wanted}.jpg`;
    await picture.decode();
    if (wanted !== this.frame || this.playing) return;
    this.draw(picture, 0, 0, picture.naturalWidth, picture.naturalHeight);
  }

  step(by) {
    return this.seek(this.frame + by);
  }

  async play() {
    this.playing = true;
    this.button.textContent = this.button.dataset.pause;
    if (this.frame >= this.last) this.frame = 0;
    let [time, before] = [this.timeOf(this.frame), null];
    const unit = this.told.clock === "s" ? 1 : 25; // a clip without times: 25 frames a second
    while (this.playing) {
      const picture = await this.sheet(Math.floor(this.frame / SHEET)).catch(() => null);
      if (!picture) return this.stop();
      const now = await new Promise(requestAnimationFrame);
      if (!this.playing) return undefined;
      if (before !== null) time += Math.min((now - before) / 1000, 0.2) * unit * Number(this.speed.value);
      before = now;
      const next = this.frameAt(time);
      if (Math.floor(next / SHEET) === Math.floor(this.frame / SHEET)) {
        this.frame = next;
        this.drawFrom(picture);
        if (next % SHEET > SHEET / 4 && next + SHEET <= this.last) this.sheet(Math.floor(next / SHEET) + 1);
      } else {
        this.frame = next; // its sheet is waited for, and so is the clock
        before = null;
      }
      this.tell();
      if (time >= this.timeOf(this.last)) return this.seek(this.last);
    }
    return undefined;
  }

  stop() {
    this.playing = false;
    this.button.textContent = this.button.dataset.play;
  }

  drawFrom(picture) {
    const number = this.frame % SHEET;
    const count = Math.min(SHEET, this.told.film.count - (this.frame - number));
    const width = picture.naturalWidth / ROW;
    const height = picture.naturalHeight / Math.ceil(count / ROW);
    this.draw(picture, (number % ROW) * width, Math.floor(number / ROW) * height, width, height);
  }

  draw(picture, x, y, width, height) {
    const { canvas } = this;
    if (canvas.width !== Math.round(width) || canvas.height !== Math.round(height)) {
      [canvas.width, canvas.height] = [Math.round(width), Math.round(height)];
    }
    const context = canvas.getContext("2d");
    context.drawImage(picture, x, y, width, height, 0, 0, canvas.width, canvas.height);
    for (const [number, box] of this.places()) this.mark(context, number, box);
    canvas.dataset.frame = this.frame;
  }

  /** Boxes of the events that are going on: the place that is known next to this frame. */
  places() {
    const time = this.timeOf(this.frame);
    const slack = this.timeOf(1) - this.timeOf(0);
    return this.told.stretches.flatMap((one, index) => {
      if (!one.places.length || time < one.first - slack / 2 || time > one.last + slack / 2) return [];
      const [, box] = one.places.reduce((a, b) => (Math.abs(b[0] - this.frame) < Math.abs(a[0] - this.frame) ? b : a));
      return [[index + 1, box]];
    });
  }

  mark(context, number, [x0, y0, x1, y1]) {
    const { width, height } = this.canvas;
    const thick = Math.max(2, width / 320);
    for (const [stroke, line] of [["#111", 2 * thick], ["#fff", thick]]) {
      context.strokeStyle = stroke;
      context.lineWidth = line;
      context.strokeRect(x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height);
    }
    context.font = `800 ${Math.max(13, width * 0.035)}px system-ui, sans-serif`;
    context.lineWidth = 2 * thick;
    context.strokeStyle = "#111";
    context.fillStyle = "#fff";
    const at = [x0 * width + 2, Math.max(y0 * height - 4, width * 0.035)];
    context.strokeText(String(number), ...at);
    context.fillText(String(number), ...at);
  }

  tell() {
    const time = this.timeOf(this.frame);
    this.clock.value = this.told.clock === "s" ? `${decimal(time, 2)} s · ${this.frame}` : String(this.frame);
    this.moved(time);
  }

  press(event) {
    const act = {
      " ": () => this.button.click(),
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      PageUp: () => this.seek(this.frame - 25),
      PageDown: () => this.seek(this.frame + 25),
      Home: () => this.seek(0),
      End: () => this.seek(this.last),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }
}

/** Return the value in column `to` of rising pairs at a value of column `from`; beyond the ends, that of the end. */
function between(pairs, value, from, to) {
  const next = pairs.findIndex((pair) => pair[from] >= value);
  if (next < 0) return pairs.at(-1)[to];
  if (next === 0) return pairs[0][to];
  const [before, after] = [pairs[next - 1], pairs[next]];
  const share = (value - before[from]) / (after[from] - before[from] || 1);
  return before[to] + share * (after[to] - before[to]);
}
