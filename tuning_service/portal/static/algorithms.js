// The page /algorithms: a plug-in is checked, and what came of it shown line by line.
import { api, toast } from "./core.js";

const asked = new Set(); // addresses of checks whose answer has not come to this page
const awaited = new Set(); // of those that ran when the page was last looked at, whoever had begun them

// As the service says, or as was just asked for; the lines of what has ended are opened.
function mark() {
  for (const button of document.querySelectorAll("button[data-check]")) {
    const { check: path, shows } = button.dataset;
    const busy = asked.has(path) || "running" in button.dataset;
    button.disabled = busy;
    button.textContent = busy ? "Checking…" : "Check";
    if (busy) awaited.add(path);
    else if (awaited.delete(path)) document.getElementById(shows)?.setAttribute("open", "");
  }
}

async function check(path) {
  asked.add(path);
  mark();
  try {
    const done = await api("POST", path);
    const wrong = done.results.filter((line) => !line.ok).length;
    if (wrong) toast(`${wrong} of ${done.results.length} checks found something wrong.`, "bad");
    else toast(`All ${done.results.length} checks passed.`);
    asked.delete(path); // it is marked when its lines are there
  } catch (problem) {
    toast(problem.message, "bad");
    asked.delete(path);
    awaited.delete(path);
    mark();
  }
  document.dispatchEvent(new Event("portal:refresh"));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-check]");
  if (button) check(button.dataset.check);
});
document.addEventListener("portal:updated", mark);
mark();
