// A scan that can be turned, coloured by its deviation; a point says how far it is from the references.
import * as THREE from "./vendor/three.module.min.js";
import { decimal } from "./page.js";

const SIZES = { char: 1, uchar: 1, int8: 1, uint8: 1, short: 2, ushort: 2, int: 4, uint: 4, float: 4, float32: 4, double: 8, float64: 8 };
const MOST = 400_000;

/** Read the binary PLY that the service writes: positions, colours, deviations, and the unit. */
function readPly(buffer) {
  const text = new TextDecoder("latin1").decode(new Uint8Array(buffer, 0, Math.min(buffer.byteLength, 4096)));
  const end = text.indexOf("end_header\n") + "end_header\n".length;
  const lines = text.slice(0, end).split("\n");
  const count = Number(lines.find((line) => line.startsWith("element vertex")).split(" ")[2]);
  const unit = /deviation from the references in ([^:]+):/.exec(text)?.[1] || "";
  const full = Number(/red \+([0-9.e+-]+)/.exec(text)?.[1] || 0);
  const fields = {};
  let row = 0;
  for (const line of lines.filter((one) => one.startsWith("property "))) {
    const [, type, name] = line.trim().split(" ");
    fields[name] = { at: row, double: SIZES[type] === 8 };
    row += SIZES[type];
  }
  const view = new DataView(buffer, end);
  const every = Math.ceil(count / MOST);
  const kept = Math.ceil(count / every);
  const points = new Float32Array(3 * kept);
  const colours = new Float32Array(3 * kept);
  const deviations = new Float32Array(kept);
  const number = (at, field) => (field.double ? view.getFloat64(at + field.at, true) : view.getFloat32(at + field.at, true));
  const colour = new THREE.Color();
  for (let i = 0; i < kept; i++) {
    const at = i * every * row;
    for (const [axis, name] of ["x", "y", "z"].entries()) points[3 * i + axis] = number(at, fields[name]);
    const [r, g, b] = ["red", "green", "blue"].map((name) => view.getUint8(at + fields[name].at) / 255);
    colour.setRGB(r, g, b, THREE.SRGBColorSpace).toArray(colours, 3 * i);
    deviations[i] = number(at, fields.deviation);
  }
  return { points, colours, deviations, unit, full };
}

/** Show the scan of a case in its place on the page. */
export async function turn(place) {
  const canvas = document.getElementById("turn-canvas");
  let renderer;
  try {
    renderer = new THREE.WebGLRenderer({ canvas, antialias: true });
  } catch {
    document.getElementById("turn-none").hidden = false;
    return;
  }
  const told = readPly(await (await fetch(place.dataset.scan, { credentials: "same-origin" })).arrayBuffer());
  document.getElementById("turn-field").hidden = false;

  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.BufferAttribute(told.points, 3));
  geometry.setAttribute("color", new THREE.BufferAttribute(told.colours, 3));
  geometry.computeBoundingBox();
  const middle = geometry.boundingBox.getCenter(new THREE.Vector3());
  geometry.center();
  geometry.computeBoundingSphere();
  const radius = geometry.boundingSphere.radius;
  const size = (3 * radius) / Math.sqrt(told.deviations.length / 2);
  const cloud = new THREE.Points(geometry, new THREE.PointsMaterial({ size, vertexColors: true }));
  const scene = new THREE.Scene();
  scene.background = new THREE.Color(0x20262c);
  scene.add(cloud);
  const camera = new THREE.PerspectiveCamera(40, 1, radius / 50, radius * 50);
  let distance = radius * 2.7;
  cloud.rotation.set(-0.9, 0, 0.5);

  const marks = new Marks(place, canvas, middle);
  drawLegend(document.getElementById("turn-legend"), told);

  const draw = () => {
    const { clientWidth: width, clientHeight: height } = canvas;
    renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    renderer.setSize(width, height, false);
    camera.aspect = width / height;
    camera.position.set(0, 0, distance);
    camera.updateProjectionMatrix();
    renderer.render(scene, camera);
    marks.place(camera, cloud, width, height);
    canvas.dataset.drawn = String(Number(canvas.dataset.drawn || 0) + 1);
  };
  const rotate = (dx, dy) => {
    const by = new THREE.Quaternion().setFromEuler(new THREE.Euler(dy, dx, 0));
    cloud.quaternion.premultiply(by);
    draw();
  };
  const closer = (by) => {
    distance = Math.min(radius * 20, Math.max(radius * 0.3, distance * by));
    draw();
  };

  const caster = new THREE.Raycaster();
  caster.params.Points.threshold = size * 1.5;
  const value = document.getElementById("turn-value");
  const measure = (event) => {
    const frame = canvas.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * 2 - 1;
    const y = 1 - ((event.clientY - frame.top) / frame.height) * 2;
    caster.setFromCamera(new THREE.Vector2(x, y), camera);
    const found = caster.intersectObject(cloud)[0];
    value.textContent = found ? `${decimal(told.deviations[found.index], 3)} ${told.unit}` : "";
  };

  const held = new Map();
  let apart = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, [event.clientX, event.clientY]);
    apart = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = held.get(event.pointerId);
    if (!last) {
      if (event.pointerType === "mouse") measure(event);
      return;
    }
    held.set(event.pointerId, [event.clientX, event.clientY]);
    if (held.size === 1) {
      rotate((event.clientX - last[0]) / 150, (event.clientY - last[1]) / 150);
      return;
    }
    const [[ax, ay], [bx, by]] = held.values();
    const now = Math.hypot(ax - bx, ay - by);
    if (apart && now) closer(apart / now);
    apart = now;
  });
  canvas.addEventListener("pointerup", (event) => {
    held.delete(event.pointerId);
    measure(event);
  });
  canvas.addEventListener("pointercancel", (event) => held.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    closer(event.deltaY > 0 ? 1.1 : 1 / 1.1);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const act = {
      ArrowLeft: () => rotate(-0.15, 0),
      ArrowRight: () => rotate(0.15, 0),
      ArrowUp: () => rotate(0, -0.15),
      ArrowDown: () => rotate(0, 0.15),
      "+": () => closer(1 / 1.2),
      "-": () => closer(1.2),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  new ResizeObserver(draw).observe(canvas);
  draw();
  canvas.focus();
}

/** Numbers of the defects, over their points. */
class Marks {
  constructor(place, canvas, middle) {
    this.marks = JSON.parse(place.dataset.marks).map(([number, point]) => {
      const label = document.createElement("span");
      label.className = "chip turn-mark";
      label.textContent = String(number);
      label.setAttribute("aria-hidden", "true");
      canvas.parentNode.append(label);
      return { label, point: new THREE.Vector3(...point).sub(middle) };
    });
  }

  place(camera, cloud, width, height) {
    cloud.updateMatrixWorld();
    for (const { label, point } of this.marks) {
      const seen = point.clone().applyMatrix4(cloud.matrixWorld);
      label.classList.toggle("behind", seen.z < 0);
      seen.project(camera);
      label.style.transform = `translate(${((seen.x + 1) / 2) * width}px, ${((1 - seen.y) / 2) * height}px)`;
    }
  }
}

/** The scale of the colours that the service gives the points (blue too little, red too much), in the unit of the scan. */
function drawLegend(place, told) {
  if (!told.full) return;
  const steps = 48;
  const bar = document.createElement("canvas");
  bar.width = steps;
  bar.height = 1;
  const context = bar.getContext("2d");
  const below = [33, 82, 190];
  const agrees = [221, 221, 221];
  const above = [188, 20, 38];
  for (let step = 0; step < steps; step++) {
    const share = (2 * step) / (steps - 1) - 1;
    const way = Math.abs(share) ** (Math.log(0.6) / Math.log(0.5));
    const end = share < 0 ? below : above;
    context.fillStyle = `rgb(${agrees.map((value, i) => Math.round((1 - way) * value + way * end[i])).join(",")})`;
    context.fillRect(step, 0, 1, 1);
  }
  const labels = document.createElement("span");
  for (const share of [-1, -0.5, 0, 0.5, 1]) {
    const label = document.createElement("span");
    const value = share * told.full;
    label.textContent = `${value > 0 ? "+" : ""}${Number(value.toPrecision(2))}`;
    labels.append(label);
  }
  labels.lastChild.textContent += ` ${told.unit}`;
  place.append(bar, labels);
  place.hidden = false;
}
