// Review by keyboard: O is OK, N is NG, S later, B blind, H heat.
import { ask, say } from "./page.js";
import { viewers } from "./viewer.js";

const place = document.getElementById("review");
if (place) {
  const form = document.getElementById("review-form");
  const go = (passed, blind) => {
    const query = new URLSearchParams();
    if (blind) query.set("blind", "true");
    if (passed) query.set("passed", passed);
    location.assign(`/review?${query}`);
  };
  const blind = () => document.getElementById("blind").checked;
  const later = () => go([place.dataset.passed, place.dataset.case].filter(Boolean).slice(-80).join(","), blind());
  const judge = async (outcome) => {
    const json = { outcome, reason: form.elements.reason.value };
    try {
      await ask(`/v1/inspections/${place.dataset.case}/judgement`, { method: "POST", json });
      go(place.dataset.passed, blind());
    } catch (error) {
      say(error.message);
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.value) judge(event.submitter.value);
  });
  document.getElementById("later").addEventListener("click", later);
  document.getElementById("blind").addEventListener("change", () => go(place.dataset.passed, blind()));
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input:not([type=checkbox]):not([type=range]), textarea, select")) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const heat = viewers[0]?.heat;
    const act = {
      o: () => judge("OK"),
      n: () => judge("NG"),
      s: later,
      b: () => go(place.dataset.passed, !blind()),
      h: () => {
        heat.value = Number(heat.value) ? 0 : 80;
        viewers[0].draw();
      },
    }[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
