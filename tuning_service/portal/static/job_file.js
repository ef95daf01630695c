// The page /jobs/…/file: the job as YAML, Python, curl or JSON.
import { api, copied, toast } from "./core.js";

const page = document.getElementById("job-file");
const text = page.querySelector("pre");
const tabs = [...page.querySelectorAll('[role="tab"]')];
const NAMES = { yaml: "job.yaml", python: "job.py", curl: "job.sh", json: "job.json" };

async function choose(tab) {
  const kind = tab.dataset.as;
  for (const each of tabs) {
    each.setAttribute("aria-selected", String(each === tab));
    each.tabIndex = each === tab ? 0 : -1;
  }
  page.querySelector("#file-text").setAttribute("aria-labelledby", tab.id);
  const link = page.querySelector("#download-file");
  link.href = `${page.dataset.file}?as=${kind}`;
  link.download = NAMES[kind];
  try {
    const answer = await api("GET", `${page.dataset.file}?as=${kind}`);
    if (tab.getAttribute("aria-selected") === "true") text.textContent = typeof answer === "string" ? answer : JSON.stringify(answer, null, 2);
  } catch (problem) {
    text.textContent = "";
    toast(problem.message, "bad");
  }
}

for (const tab of tabs) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const other = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    other.focus();
    choose(other);
  });
}
page.querySelector("#copy-file").addEventListener("click", () => copied(text.textContent));
choose(tabs[0]);
