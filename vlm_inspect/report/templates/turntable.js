"use strict";
// Draws the points of a scan, nearest last, and turns them by mouse, finger or arrow keys. No library, no network.
(() => {
  const canvas = document.getElementById("turntable");
  const told = canvas.dataset;
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const points = new Int16Array(bytes(told.points).buffer);
  const directions = new Int8Array(bytes(told.directions).buffer);
  const shades = bytes(told.shades);
  const colours = bytes(told.colours);
  const marks = JSON.parse(told.marks);
  const count = shades.length;
  const paper = canvas.getContext("2d");
  const START = [1, 0, 0, 0, 0, 1, 0, -1, 0]; // seen from the front, z upwards
  let turn, zoom;

  const times = (a, b) => {
    const made = new Array(9).fill(0);
    for (let i = 0; i < 3; i++) for (let j = 0; j < 3; j++) for (let k = 0; k < 3; k++) made[3 * i + j] += a[3 * i + k] * b[3 * k + j];
    return made;
  };
  const about = (axis, angle) => {
    const c = Math.cos(angle), s = Math.sin(angle);
    return axis === "y" ? [c, 0, s, 0, 1, 0, -s, 0, c] : [1, 0, 0, 0, c, -s, 0, s, c];
  };

  const draw = () => {
    const side = canvas.width, middle = side / 2, scale = (0.4 * side * zoom) / 32000;
    const image = paper.createImageData(side, side), pixels = image.data;
    const depth = new Float32Array(side * side).fill(-Infinity);
    const size = Math.min(14, Math.max(2, Math.round((0.9 * zoom * side) / Math.sqrt(count))));
    const [a, b, c, d, e, f, g, h, k] = turn;
    for (let i = 0; i < count; i++) {
      const x = points[3 * i], y = points[3 * i + 1], z = points[3 * i + 2];
      const left = Math.round(middle + scale * (a * x + b * y + c * z) - size / 2);
      const top = Math.round(middle - scale * (d * x + e * y + f * z) - size / 2);
      const near = g * x + h * y + k * z;
      const facing = Math.abs(g * directions[3 * i] + h * directions[3 * i + 1] + k * directions[3 * i + 2]) / 127;
      const light = 0.5 + 0.5 * Math.min(1, facing), colour = 3 * shades[i];
      for (let row = Math.max(0, top); row < Math.min(side, top + size); row++) {
        for (let column = Math.max(0, left); column < Math.min(side, left + size); column++) {
          const at = row * side + column;
          if (near <= depth[at]) continue;
          depth[at] = near;
          pixels[4 * at] = colours[colour] * light;
          pixels[4 * at + 1] = colours[colour + 1] * light;
          pixels[4 * at + 2] = colours[colour + 2] * light;
          pixels[4 * at + 3] = 255;
        }
      }
    }
    paper.putImageData(image, 0, 0);
    paper.font = `600 ${Math.round(side / 36)}px system-ui, sans-serif`;
    paper.textAlign = "center";
    paper.textBaseline = "middle";
    for (const [number, x, y, z] of marks) {
      const column = middle + scale * (a * x + b * y + c * z), row = middle - scale * (d * x + e * y + f * z);
      paper.beginPath();
      paper.arc(column, row, side / 48, 0, 2 * Math.PI);
      paper.fillStyle = "#141414";
      paper.fill();
      paper.fillStyle = "#fff";
      paper.fillText(String(number), column, row);
    }
    canvas.dataset.turned = String(Number(canvas.dataset.turned || 0) + 1);
  };

  let waiting = false;
  const soon = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  };
  const rotate = (right, down) => { turn = times(about("x", down), times(about("y", right), turn)); soon(); };
  const enlarge = (factor) => { zoom = Math.min(12, Math.max(0.5, zoom * factor)); soon(); };
  // From half above; where something is marked, from the side on which the first mark lies.
  const [, right, back, up] = marks[0] || [0, 0, 0, 0];
  const aside = right || back ? Math.atan2(-right, -back) : 0.6;
  const above = Math.abs(up) > 2 * Math.hypot(right, back) ? 0.8 * Math.sign(up) : 0.35;
  const face = () => { turn = times(about("x", above), times(about("y", aside), START)); zoom = 1; };
  const reset = () => { face(); soon(); };

  const held = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, [event.clientX, event.clientY]);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = held.get(event.pointerId);
    if (!last) return;
    if (held.size === 2) {
      const other = [...held].find(([id]) => id !== event.pointerId)[1];
      const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
      enlarge(apart([event.clientX, event.clientY]) / apart(last));
    } else {
      rotate((event.clientX - last[0]) / 120, (event.clientY - last[1]) / 120);
    }
    held.set(event.pointerId, [event.clientX, event.clientY]);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => held.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); enlarge(Math.exp(-event.deltaY / 500)); }, { passive: false });
  canvas.addEventListener("dblclick", reset);
  canvas.addEventListener("keydown", (event) => {
    const acts = {
      ArrowLeft: () => rotate(-0.15, 0), ArrowRight: () => rotate(0.15, 0), ArrowUp: () => rotate(0, -0.15),
      ArrowDown: () => rotate(0, 0.15), "+": () => enlarge(1.2), "-": () => enlarge(1 / 1.2), 0: reset,
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
  face();
  draw(); // at once: a page that is printed or opened behind others may not get a frame
})();
