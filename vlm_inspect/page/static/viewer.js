// A part, large: views, heat, marks, zoom and pan, the reference beside it following.

const MOST = 16;

export class Viewer {
  constructor(root) {
    this.root = root;
    this.pairs = [...root.querySelectorAll(".pair")];
    this.heat = root.querySelector(".heat-level");
    this.marks = root.querySelector(".boxes-on");
    this.at = 0;
    this.zoom = 1;
    this.x = 0;
    this.y = 0;
    for (const tab of root.querySelectorAll(".tab")) tab.addEventListener("click", () => this.show(Number(tab.dataset.view)));
    this.heat.addEventListener("input", () => this.draw());
    this.marks?.addEventListener("change", () => this.draw());
    root.querySelector(".zoom-in").addEventListener("click", () => this.scale(1.5));
    root.querySelector(".zoom-out").addEventListener("click", () => this.scale(1 / 1.5));
    root.querySelector(".zoom-fit").addEventListener("click", () => this.fit());
    for (const stage of root.querySelectorAll(".stage")) this.listen(stage);
    this.draw();
  }

  get pair() {
    return this.pairs[this.at];
  }

  show(number) {
    this.at = Math.min(Math.max(number, 0), this.pairs.length - 1);
    for (const [index, pair] of this.pairs.entries()) {
      pair.hidden = index !== this.at;
      if (pair.hidden) continue;
      for (const image of pair.querySelectorAll("img[data-src]")) {
        image.src = image.dataset.src;
        image.removeAttribute("data-src");
      }
    }
    for (const tab of this.root.querySelectorAll(".tab")) {
      tab.setAttribute("aria-pressed", String(Number(tab.dataset.view) === this.at));
    }
    this.fit();
  }

  /** Show a defect: its view, and its place closer. */
  point(number) {
    const index = this.pairs.findIndex((pair) => pair.querySelector(`[data-defect="${number}"]`));
    if (index < 0) return;
    this.show(index);
    const box = this.pair.querySelector(`[data-defect="${number}"] .box`);
    const svg = this.pair.querySelector(".boxes");
    const [width, height] = [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height];
    const at = (name) => Number(box.getAttribute(name));
    const [x, y] = [at("x") / width, at("y") / height];
    this.closeUp(x, y, x + at("width") / width, y + at("height") / height);
    for (const one of this.root.querySelectorAll(".chosen")) one.classList.remove("chosen");
    box.parentNode.classList.add("chosen");
  }

  /** Show a view, by its number in the record, and a box of it. */
  look(number, box) {
    const index = this.pairs.findIndex((pair) => Number(pair.dataset.number) === number);
    if (index < 0) return;
    this.show(index);
    if (box) this.closeUp(...box);
    this.root.scrollIntoView({ block: "nearest" });
  }

  closeUp(x0, y0, x1, y1) {
    const canvas = this.pair.querySelector(".canvas");
    this.zoom = Math.min(6, Math.max(1.5, 0.4 / Math.max(x1 - x0, y1 - y0)));
    this.x = (0.5 - (x0 + x1) / 2) * canvas.clientWidth * this.zoom;
    this.y = (0.5 - (y0 + y1) / 2) * canvas.clientHeight * this.zoom;
    this.draw();
  }

  fit() {
    this.zoom = 1;
    this.x = this.y = 0;
    this.draw();
  }

  scale(by, around = null) {
    const before = this.zoom;
    this.zoom = Math.min(MOST, Math.max(1, this.zoom * by));
    const grown = this.zoom / before;
    const [px, py] = around || [0, 0];
    this.x = px - (px - this.x) * grown;
    this.y = py - (py - this.y) * grown;
    if (this.zoom === 1) this.x = this.y = 0;
    this.draw();
  }

  move(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.draw();
  }

  draw() {
    const level = Number(this.heat.value) / 100;
    for (const canvas of this.pair.querySelectorAll(".canvas")) {
      const room = (size) => (size * (this.zoom - 1)) / 2 + size / 4;
      this.x = Math.min(Math.max(this.x, -room(canvas.clientWidth)), room(canvas.clientWidth));
      this.y = Math.min(Math.max(this.y, -room(canvas.clientHeight)), room(canvas.clientHeight));
      canvas.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.zoom})`;
      canvas.classList.toggle("close", this.zoom > 3);
      canvas.parentNode.classList.toggle("zoomed", this.zoom > 1); // else one finger scrolls the page
      const heat = canvas.querySelector(".heat");
      if (heat) heat.style.opacity = level;
      const boxes = canvas.querySelector(".boxes");
      if (boxes) boxes.classList.toggle("hidden-marks", this.marks !== null && !this.marks.checked);
    }
  }

  listen(stage) {
    const pointers = new Map();
    let apart = 0;
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && this.zoom === 1 && event.deltaY > 0) return; // the page scrolls on
      event.preventDefault();
      const frame = stage.getBoundingClientRect();
      const around = [event.clientX - frame.left - frame.width / 2, event.clientY - frame.top - frame.height / 2];
      this.scale(event.deltaY < 0 ? 1.2 : 1 / 1.2, around);
    }, { passive: false });
    stage.addEventListener("pointerdown", (event) => {
      stage.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      apart = 0;
    });
    stage.addEventListener("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      if (pointers.size === 1) {
        if (this.zoom > 1) this.move(event.clientX - last[0], event.clientY - last[1]);
        return;
      }
      const [[ax, ay], [bx, by]] = pointers.values();
      const now = Math.hypot(ax - bx, ay - by);
      const frame = stage.getBoundingClientRect();
      const middle = [(ax + bx) / 2 - frame.left - frame.width / 2, (ay + by) / 2 - frame.top - frame.height / 2];
      if (apart) this.scale(now / apart, middle);
      apart = now;
    });
    for (const name of ["pointerup", "pointercancel"]) {
      stage.addEventListener(name, (event) => pointers.delete(event.pointerId));
    }
    stage.addEventListener("keydown", (event) => {
      const step = 60;
      const act = {
        "+": () => this.scale(1.5),
        "=": () => this.scale(1.5),
        "-": () => this.scale(1 / 1.5),
        0: () => this.fit(),
        ArrowLeft: () => this.move(step, 0),
        ArrowRight: () => this.move(-step, 0),
        ArrowUp: () => this.move(0, step),
        ArrowDown: () => this.move(0, -step),
        PageDown: () => this.show(this.at + 1),
        PageUp: () => this.show(this.at - 1),
      }[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key.startsWith("Arrow") && this.zoom === 1) return;
      event.preventDefault();
      act();
      if (event.key.startsWith("Page")) this.pair.querySelector(".stage").focus();
    });
  }
}

export const viewers = [...document.querySelectorAll(".viewer")].map((root) => new Viewer(root));
for (const viewer of viewers) {
  const around = viewer.root.parentElement;
  for (const row of around.querySelectorAll(".defect-row")) {
    row.addEventListener("click", () => viewer.point(row.dataset.defect));
  }
  for (const row of around.querySelectorAll(".look")) {
    row.addEventListener("click", () => viewer.look(Number(row.dataset.view), row.dataset.box && JSON.parse(row.dataset.box)));
  }
}
