// The list of jobs: several stopped or deleted at once, and a search that follows what is typed.
import { api, confirmed, element, escaped, toast } from "./core.js";

const chosen = () => [...document.querySelectorAll(".choose:checked")];
const stoppable = (box) => ["created", "running"].includes(box.dataset.status);
const AT_ONCE = 4;
const NAMED = 8; // jobs that a question names
const TYPING_MS = 250;
const jobs = (count) => `${count} job${count === 1 ? "" : "s"}`;

function count() {
  const boxes = chosen();
  const stop = document.getElementById("bulk-stop");
  if (!stop) return;
  stop.disabled = !boxes.some(stoppable);
  document.getElementById("bulk-delete").disabled = !boxes.length;
  const text = boxes.length ? `${boxes.length} chosen` : "";
  const label = document.getElementById("bulk-count");
  if (label.textContent !== text) label.textContent = text;
  const all = document.getElementById("all-jobs");
  const every = document.querySelectorAll(".choose").length;
  all.checked = every > 0 && boxes.length === every;
  all.indeterminate = boxes.length > 0 && boxes.length < every;
}

// Calls REST for each of the jobs. Those that are refused stay ticked, and are listed with the reason.
async function each(boxes, call, word) {
  const buttons = document.querySelectorAll("#bulk button");
  for (const button of buttons) button.disabled = true;
  const waiting = boxes.map((box) => ({ id: box.value, name: box.dataset.name }));
  const total = waiting.length;
  const refused = [];
  const work = async () => {
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      try {
        await call(job.id);
        const box = document.querySelector(`.choose[value="${job.id}"]`);
        if (box) box.checked = false;
      } catch (problem) {
        refused.push({ ...job, message: problem.message });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (total > refused.length) toast(`${word} ${jobs(total - refused.length)}.`);
  showRefused(refused, total);
  count();
  document.dispatchEvent(new Event("portal:refresh"));
}

function showRefused(refused, total) {
  const notice = document.getElementById("bulk-refused");
  if (!notice) return;
  notice.hidden = !refused.length;
  notice.replaceChildren();
  if (!refused.length) return;
  notice.append(element(`<p><strong>${refused.length} of ${jobs(total)} refused.</strong></p>`));
  notice.append(element(`<ul>${refused.map((job) => `<li><a href="/jobs/${encodeURIComponent(job.id)}">${escaped(job.name)}</a>: ${escaped(job.message)}</li>`).join("")}</ul>`));
  const close = element('<button type="button">Close</button>');
  close.addEventListener("click", () => showRefused([], 0));
  notice.append(close);
}

function named(boxes) {
  const names = boxes.slice(0, NAMED).map((box) => (box.dataset.name.length > 60 ? `${box.dataset.name.slice(0, 59)}…` : box.dataset.name));
  return names.join(", ") + (boxes.length > NAMED ? ` and ${boxes.length - NAMED} more` : "");
}

document.addEventListener("click", async (event) => {
  if (event.target.id === "bulk-stop") {
    const boxes = chosen().filter(stoppable);
    const details = `${named(boxes)}. Their trainings end within seconds. Finished trials stay, and the jobs can be resumed.`;
    if (await confirmed(`Stop ${jobs(boxes.length)}?`, { details, yes: "Stop" })) {
      await each(boxes, (id) => api("POST", `/v1/tuning-jobs/${id}/stop`), "Stopping");
    }
  } else if (event.target.id === "bulk-delete") {
    const boxes = chosen();
    const details = `${named(boxes)}. All their trials, measurements and logs go. This cannot be undone.`;
    if (await confirmed(`Delete ${jobs(boxes.length)}?`, { details, yes: "Delete", danger: true })) {
      await each(boxes, (id) => api("DELETE", `/v1/tuning-jobs/${id}`), "Deleting");
    }
  }
});

// The address follows the filters, so that it can be kept and passed on, and the list is fetched for it.
const form = document.getElementById("filters");
let typing = null;

function find() {
  clearTimeout(typing);
  typing = null;
  const query = new URLSearchParams(location.search);
  for (const field of form.querySelectorAll("input[type=search], select")) {
    if (field.value.trim()) query.set(field.name, field.value.trim());
    else query.delete(field.name);
  }
  query.delete("page");
  const address = location.pathname + (query.size ? `?${query}` : "");
  if (address === location.pathname + location.search) return;
  history.replaceState(null, "", address);
  document.dispatchEvent(new Event("portal:refresh"));
}

form?.addEventListener("input", (event) => {
  if (event.isComposing) return;
  clearTimeout(typing);
  typing = setTimeout(find, event.target.matches("select") ? 0 : TYPING_MS);
});
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  find();
});

document.addEventListener("change", (event) => {
  if (event.target.id === "all-jobs") for (const box of document.querySelectorAll(".choose")) box.checked = event.target.checked;
  if (event.target.matches("#all-jobs, .choose")) count();
});
document.addEventListener("portal:updated", count);
count();
