// Lines over time with marked stretches, drawn by uPlot, which loads where there is a curve or a clip.

let library = null;

function load() {
  library ??= new Promise((ready, failed) => {
    const script = document.createElement("script");
    script.src = "/static/vendor/uPlot.iife.min.js";
    script.onload = () => ready(globalThis.uPlot);
    script.onerror = () => failed(new Error("uPlot"));
    document.head.append(script);
  });
  return library;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const HEIGHT = 190;
/** Steps between the ticks of what is counted: there is no half frame. */
const WHOLE = [...Array(9).keys()].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));

/** The lines of a timeline, one above the other, over one axis of time. */
export class Charts {
  /** `told` is the timeline; `seek(time)` is called where somebody clicks. */
  constructor(place, told, labels, seek) {
    Object.assign(this, { place, told, labels, seek, plots: [], now: null, chosen: null });
    const times = told.lines.flatMap((line) => [line.times[0], line.times.at(-1)]);
    this.whole = [Math.min(...times), Math.max(...times)];
    this.range = this.whole;
    place.addEventListener("keydown", (event) => this.press(event));
    document.getElementById("theme").addEventListener("click", () => this.build());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.build());
    new ResizeObserver(() => {
      for (const plot of this.plots) plot.setSize({ width: place.clientWidth, height: HEIGHT });
      this.playhead(this.now);
    }).observe(place);
  }

  async build() {
    this.uPlot = await load();
    for (const plot of this.plots) plot.destroy();
    this.plots = this.told.lines.map((line, index) => this.plot(line, index));
    this.show(this.range);
    this.playhead(this.now);
  }

  plot(line, index) {
    const last = index === this.told.lines.length - 1;
    const axis = { stroke: colour("faint"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
    const options = {
      width: this.place.clientWidth,
      height: HEIGHT,
      cursor: { sync: { key: "timeline" }, drag: { x: true, y: false, dist: 6 } },
      scales: { x: { time: false }, y: line.limit === null ? {} : { range: [0, 1.02] } },
      axes: [
        {
          ...axis,
          ...(this.told.clock === "s" ? {} : { incrs: WHOLE }),
          label: last ? this.labels.clock : undefined,
          labelSize: 20,
          size: 34,
        },
        { ...axis, size: 62 },
      ],
      series: [
        { label: this.labels.clock, value: (_, value) => this.moment(value) },
        {
          label: line.unit ? `${line.name} [${line.unit}]` : line.name,
          stroke: colour("accent"),
          width: 1.5,
          points: { show: false },
          value: (_, value) => (value === null ? "–" : value.toPrecision(4)),
        },
      ],
      hooks: {
        drawClear: [(plot) => this.mark(plot, line, index)],
        setScale: [(plot, scale) => scale === "x" && this.follow(plot)],
        ready: [(plot) => this.listen(plot)],
      },
    };
    return new this.uPlot(options, [line.times, line.values], this.place);
  }

  /** Say a time: a whole number where frames or samples are counted. */
  moment(value) {
    if (value === null) return "–";
    return this.told.clock === "s" ? value.toPrecision(5) : String(Math.round(value));
  }

  /** Draw what lies behind a line: the normal beginning, the marked stretches, the limit. */
  mark(plot, line, index) {
    const { ctx } = plot;
    const { left, top, width, height } = plot.bbox;
    const at = (time) => plot.valToPos(time, "x", true);
    const band = (first, end, fill) => {
      ctx.fillStyle = fill;
      ctx.fillRect(at(first), top, Math.max(at(end) - at(first), 3 * devicePixelRatio), height);
    };
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    if (this.told.normal_until !== null) band(this.whole[0], this.told.normal_until, `${colour("ok")}26`);
    for (const [number, one] of this.told.stretches.entries()) {
      if (one.channels.length && !one.channels.includes(index)) continue;
      band(one.first, one.last, `${colour("ng")}${number === this.chosen ? "66" : "33"}`);
      ctx.fillStyle = ctx.strokeStyle = colour("ng");
      ctx.lineWidth = devicePixelRatio;
      for (const time of [one.first, one.last]) {
        ctx.beginPath();
        ctx.moveTo(at(time), top);
        ctx.lineTo(at(time), top + height);
        ctx.stroke();
      }
      ctx.font = `700 ${13 * devicePixelRatio}px system-ui, sans-serif`;
      ctx.fillText(String(number + 1), at(one.first) + 4 * devicePixelRatio, top + 14 * devicePixelRatio);
    }
    if (line.limit !== null) {
      ctx.strokeStyle = colour("faint");
      ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(left, plot.valToPos(line.limit, "y", true));
      ctx.lineTo(left + width, plot.valToPos(line.limit, "y", true));
      ctx.stroke();
    }
    ctx.restore();
  }

  listen(plot) {
    const head = document.createElement("div");
    head.className = "playhead";
    plot.over.append(head);
    let down = 0;
    plot.over.addEventListener("mousedown", (event) => { down = event.clientX; });
    plot.over.addEventListener("click", (event) => {
      if (Math.abs(event.clientX - down) > 5) return; // a stretch was drawn out: zoom
      this.seek(plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x"));
    });
    plot.over.addEventListener("dblclick", () => this.show(this.whole));
  }

  /** What one line is zoomed to, the others are, too. */
  follow(plot) {
    const { min, max } = plot.scales.x;
    if (this.busy || min === null || (min === this.range[0] && max === this.range[1])) return;
    this.show([min, max]);
  }

  /** Show a stretch of time. */
  show([first, last]) {
    const least = (this.whole[1] - this.whole[0]) / 5000 || 1;
    const long = Math.max(last - first, least);
    const from = Math.min(Math.max(first, this.whole[0]), Math.max(this.whole[0], this.whole[1] - long));
    this.range = [from, Math.min(from + long, this.whole[1])];
    this.busy = true;
    for (const plot of this.plots) plot.setScale("x", { min: this.range[0], max: this.range[1] });
    this.busy = false;
    this.place.dataset.shown = this.range.map((time) => time.toPrecision(6)).join(" ");
    queueMicrotask(() => this.playhead(this.now));
  }

  /** Show less or more around the middle. */
  scale(by) {
    const [first, last] = this.range;
    const [middle, half] = [(first + last) / 2, ((last - first) / 2) * by];
    this.show([middle - half, middle + half]);
  }

  /** Point a marked stretch out; with room around it where nothing is played. */
  point(number, zoomed) {
    this.chosen = number;
    const one = this.told.stretches[number];
    const room = Math.max((one.last - one.first) * 2, (this.whole[1] - this.whole[0]) / 20);
    if (zoomed) this.show([one.first - room, one.last + room]);
    for (const plot of this.plots) plot.redraw();
  }

  playhead(time) {
    this.now = time;
    for (const plot of this.plots) {
      const head = plot.over.querySelector(".playhead");
      if (!head) continue;
      const x = time === null ? -1 : plot.valToPos(time, "x");
      head.hidden = !(x >= 0 && x <= plot.over.clientWidth);
      if (!head.hidden) head.style.transform = `translateX(${x}px)`;
    }
  }

  press(event) {
    const step = (this.range[1] - this.range[0]) / 10;
    const act = {
      "+": () => this.scale(1 / 1.5),
      "=": () => this.scale(1 / 1.5),
      "-": () => this.scale(1.5),
      0: () => this.show(this.whole),
      ArrowLeft: () => this.show([this.range[0] - step, this.range[1] - step]),
      ArrowRight: () => this.show([this.range[0] + step, this.range[1] + step]),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }
}
