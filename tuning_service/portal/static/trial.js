// A trial's page: which execution its log, resources and files are of, and that what no word tells of is looked at again.
import { api, element } from "./core.js";
import { size, TrialLog } from "./trial_log.js";

const QUIET_MS = 10000; // a running trial is looked at again, also when nothing was told of it

const tasks = () => document.getElementById("trial-tasks");
const artifacts = document.getElementById("artifacts");
const list = document.getElementById("artifact-list");
const log = new TrialLog(document.getElementById("log"));

let listed = "";

// The files that the execution left come all at once, before it has ended: they are asked for when that has changed.
async function listArtifacts() {
  const { shown, state } = tasks().dataset;
  const wanted = `${shown} ${state}`;
  if (wanted === listed) return;
  listed = wanted;
  try {
    await addArtifacts(shown, null, null);
  } catch (problem) {
    listed = "";
    list.textContent = problem.message;
  }
}

async function addArtifacts(task, cursor, table) {
  const query = new URLSearchParams({ limit: 200, ...(task === "" ? {} : { task }), ...(cursor ? { cursor } : {}) });
  const { items, next_cursor: next } = await api("GET", `${artifacts.dataset.source}?${query}`);
  if (!items.length && !table) {
    list.innerHTML = '<p class="muted">None. What a program leaves in the folder that <code>TUNING_ARTIFACTS_DIR</code> names is kept when it has ended.</p>';
    return;
  }
  let body = table;
  if (!body) {
    const box = element('<div class="scroll tall" tabindex="0" role="region" aria-label="Artifacts"><table><thead><tr><th scope="col">File</th><th scope="col" class="num">Size</th></tr></thead><tbody></tbody></table></div>');
    list.replaceChildren(box);
    body = box.querySelector("tbody");
  }
  for (const item of items) {
    const row = element('<table><tr><td class="name"><a download dir="auto"></a></td><td class="num nowrap"></td></tr></table>').querySelector("tr");
    const link = row.querySelector("a");
    link.textContent = item.path;
    link.title = `SHA-256 ${item.sha256}`;
    link.href = `${artifacts.dataset.source}/${item.path.split("/").map(encodeURIComponent).join("/")}${task === "" ? "" : `?task=${task}`}`;
    row.lastElementChild.textContent = size(item.bytes);
    row.lastElementChild.title = `${item.bytes.toLocaleString("en")} bytes`;
    body.append(row);
  }
  list.querySelector("button")?.remove();
  if (!next) return;
  const more = element('<button type="button">Show more files</button>');
  more.addEventListener("click", () => addArtifacts(task, next, body).catch((problem) => more.after(` ${problem.message}`)));
  list.append(more);
}

function follow() {
  const { shown, open } = tasks().dataset;
  log.show(shown, open === "true");
  listArtifacts();
}

follow();
document.addEventListener("portal:updated", follow);
let gone = false;
document.addEventListener("portal:gone", () => {
  gone = true;
  log.close("The job was deleted.");
});
setInterval(() => {
  if (!gone && !document.hidden && tasks().dataset.open === "true") document.dispatchEvent(new Event("portal:refresh"));
}, QUIET_MS);
