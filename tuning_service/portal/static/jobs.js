// The list of jobs: several stopped or deleted at once, and a search that follows what is typed.
import { api, confirmed, toast } from "./core.js";

const chosen = () => [...document.querySelectorAll(".choose:checked")];
const AT_ONCE = 4;

function count() {
  const boxes = chosen();
  const stop = document.getElementById("bulk-stop");
  if (!stop) return;
  stop.disabled = !boxes.some((box) => ["created", "running"].includes(box.dataset.status));
  document.getElementById("bulk-delete").disabled = !boxes.length;
  document.getElementById("bulk-count").textContent = boxes.length ? `${boxes.length} chosen` : "";
  const all = document.getElementById("all-jobs");
  const every = document.querySelectorAll(".choose").length;
  all.checked = boxes.length === every;
  all.indeterminate = boxes.length > 0 && boxes.length < every;
}

async function each(ids, call, word) {
  const waiting = [...ids];
  const refused = [];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let id = waiting.pop(); id; id = waiting.pop()) {
        try {
          await call(id);
        } catch (problem) {
          refused.push(problem.message);
        }
      }
    }),
  );
  const done = ids.length - refused.length;
  if (done) toast(`${word} ${done} job${done === 1 ? "" : "s"}.`);
  if (refused.length) toast(`${refused.length} refused: ${[...new Set(refused)].join(" ")}`, "bad");
  for (const box of chosen()) box.checked = false;
  count();
  document.dispatchEvent(new Event("portal:refresh"));
}

document.addEventListener("click", async (event) => {
  if (event.target.id === "bulk-stop") {
    const ids = chosen().filter((box) => ["created", "running"].includes(box.dataset.status)).map((box) => box.value);
    const yes = await confirmed(`Stop ${ids.length} job${ids.length === 1 ? "" : "s"}?`, { details: "Their trainings end within seconds. Finished trials stay, and the jobs can be resumed.", yes: "Stop" });
    if (yes) await each(ids, (id) => api("POST", `/v1/tuning-jobs/${id}/stop`), "Stopping");
  } else if (event.target.id === "bulk-delete") {
    const ids = chosen().map((box) => box.value);
    const yes = await confirmed(`Delete ${ids.length} job${ids.length === 1 ? "" : "s"}?`, { details: "All their trials, measurements and logs go. This cannot be undone.", yes: "Delete", danger: true });
    if (yes) await each(ids, (id) => api("DELETE", `/v1/tuning-jobs/${id}`), "Deleting");
  }
});
document.addEventListener("change", (event) => {
  if (event.target.id === "all-jobs") for (const box of document.querySelectorAll(".choose")) box.checked = event.target.checked;
  if (event.target.matches("#all-jobs, .choose")) count();
  if (event.target.matches("#filters select")) event.target.form.requestSubmit();
});
document.addEventListener("portal:updated", count);
count();
