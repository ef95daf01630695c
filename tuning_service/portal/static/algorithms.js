// The page /algorithms: a plug-in is checked, and what came of it shown line by line.
import { api, toast } from "./core.js";

const running = new Set(); // addresses of checks whose answer has not come

function mark() {
  for (const button of document.querySelectorAll("button[data-check]")) {
    const busy = running.has(button.dataset.check);
    button.disabled = busy;
    button.textContent = busy ? "Checking…" : "Check";
  }
}

async function check({ check: path, shows }) {
  running.add(path);
  mark();
  try {
    const done = await api("POST", path);
    const wrong = done.results.filter((line) => !line.ok).length;
    if (wrong) toast(`${wrong} of ${done.results.length} checks found something wrong.`, "bad");
    else toast(`All ${done.results.length} checks are right.`);
    // Its lines are there with the next update.
    document.addEventListener("portal:updated", () => document.getElementById(shows)?.setAttribute("open", ""), { once: true });
  } catch (problem) {
    toast(problem.message, "bad");
  } finally {
    running.delete(path);
    mark();
    document.dispatchEvent(new Event("portal:refresh"));
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-check]");
  if (button) check(button.dataset);
});
document.addEventListener("portal:updated", mark);
