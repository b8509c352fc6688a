// Drop, paste, choose or photograph a part; follow it until it is a case.
import { ask, errorWords, say } from "./page.js";
import { SentPart } from "./sent.js";

const form = document.getElementById("drop");
const remembered = localStorage.getItem("rules");
if (remembered && [...form.elements.rules.options].some((one) => one.value === remembered)) {
  form.elements.rules.value = remembered;
}
form.elements.rules.addEventListener("change", () => localStorage.setItem("rules", form.elements.rules.value));
form.addEventListener("submit", (event) => event.preventDefault());

async function inspect(file) {
  const row = new SentPart(file.name, file);
  const body = new FormData();
  body.append("file", file, file.name);
  for (const name of ["rules", "question", "serial"]) {
    if (form.elements[name].value.trim()) body.append(name, form.elements[name].value.trim());
  }
  try {
    const accepted = await (await ask("/v1/inspections?wait=0", { method: "POST", body })).json();
    await row.follow(accepted.id);
    location.assign(`/cases/${accepted.id}`);
  } catch (error) {
    row.fail(error.message);
    say(error.message);
  }
}

function take(files) {
  if (files.length !== 1) say(errorWords.file);
  else inspect(files[0]);
}

form.elements.file.addEventListener("change", (event) => {
  take(event.target.files);
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => form.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) take(event.clipboardData.files);
});

for (const button of document.querySelectorAll("button.retry")) {
  button.addEventListener("click", async () => {
    try {
      await ask(`/v1/inspections/${button.dataset.part}/retry`, { method: "POST" });
      location.assign(`/cases/${button.dataset.part}`);
    } catch (error) {
      say(error.message);
    }
  });
}

// The camera: a still of what it shows, as PNG.
const field = document.getElementById("camera-field");
const picture = document.getElementById("camera-picture");
let stream = null;

function stop() {
  for (const track of stream?.getTracks() || []) track.stop();
  stream = null;
  field.hidden = true;
}

document.getElementById("camera").addEventListener("click", async () => {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
    picture.srcObject = stream;
    await picture.play();
    field.hidden = false;
  } catch {
    say(errorWords.camera);
  }
});
document.getElementById("camera-stop").addEventListener("click", stop);
document.getElementById("camera-take").addEventListener("click", () => {
  const still = document.createElement("canvas");
  still.width = picture.videoWidth;
  still.height = picture.videoHeight;
  still.getContext("2d").drawImage(picture, 0, 0);
  still.toBlob((blob) => {
    stop();
    if (blob) inspect(new File([blob], "camera.png", { type: "image/png" }));
  }, "image/png");
});
