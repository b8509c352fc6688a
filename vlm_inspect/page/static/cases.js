// The gallery: choose two cases and compare them.
import "./page.js";

const form = document.getElementById("compare");
const button = form.querySelector("button");
const boxes = [...document.querySelectorAll('input[name="case"]')];
const chosen = () => boxes.filter((box) => box.checked);

for (const box of boxes) {
  box.addEventListener("change", () => {
    if (chosen().length > 2) chosen().find((one) => one !== box).checked = false;
    button.disabled = chosen().length !== 2;
  });
}
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const [a, b] = chosen().map((box) => box.value);
  location.assign(`/compare?a=${a}&b=${b}`);
});
