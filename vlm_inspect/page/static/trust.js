// Trust: thresholds from the parts that people judged.
import { proposalCard, workOut } from "./proposal.js";

for (const button of document.querySelectorAll("button.calibrate")) {
  const place = button.closest(".calibration");
  const address = `/v1/calibrations/${encodeURIComponent(button.dataset.book)}/proposals`;
  button.addEventListener("click", () => {
    const overkill = Number(place.querySelector("select").value);
    workOut(button, place, address, { overkill }, (told, words) => proposalCard(told, words, `${address}/${told.number}`));
  });
}
