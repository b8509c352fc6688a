// A part that is no case yet: follow it, and show its case when it is one.
import { say } from "./page.js";
import { SentPart } from "./sent.js";

const { part, name } = document.getElementById("sent").dataset;
const row = new SentPart(name);
row.follow(part).then(() => location.reload()).catch((error) => {
  row.fail(error.message);
  say(error.message);
});
