// The page /compare: choosing jobs, and their best configurations side by side.
import { element, escaped, number } from "./core.js";

const MOST = 10;
const TYPING_MS = 250;
const form = document.getElementById("choice");

const ticked = () => [...form.querySelectorAll('input[name="jobs"]:checked')].map((input) => input.value);
let typing = null;

// What is ticked stays in the list, whatever is searched for: the address names it.
function find() {
  const query = new URLSearchParams({ jobs: ticked().join(","), search: document.getElementById("filter").value.trim() });
  for (const name of ["jobs", "search"]) if (!query.get(name)) query.delete(name);
  history.replaceState(null, "", location.pathname + (query.size ? `?${query}` : ""));
  document.dispatchEvent(new Event("portal:refresh"));
}

document.getElementById("filter")?.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(find, TYPING_MS);
});
form?.addEventListener("change", () => {
  document.getElementById("chosen-count").textContent = `${ticked().length} chosen`;
});

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  const jobs = ticked();
  const error = form.querySelector(".form-error");
  error.hidden = jobs.length >= 1 && jobs.length <= MOST;
  error.textContent = jobs.length ? `Choose ${MOST} at most: ${jobs.length} are chosen.` : "Choose some jobs.";
  if (error.hidden) location.assign(`/compare?jobs=${jobs.join(",")}`);
});

document.addEventListener("portal:compared", ({ detail }) => {
  const head = detail.jobs.map((job) => `<th scope="col" class="name"><a class="lines" dir="auto" title="${escaped(job.name)}" href="/jobs/${encodeURIComponent(job.job)}">${escaped(job.name)}</a></th>`).join("");
  const row = (label, cells) => `<tr><th scope="row">${escaped(label)}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  const exact = (item) => (item === null || item === undefined ? "–" : `<data value="${escaped(item)}" title="${escaped(item)}">${escaped(number(item))}</data>`);
  const rows = [
    row("State", detail.jobs.map((job) => `<span class="badge ${escaped(job.status)}">${escaped(job.status)}</span>`)),
    row("Algorithm", detail.jobs.map((job) => escaped(job.algorithm))),
    row("Trials", detail.jobs.map((job) => number(job.trials))),
    row("Objective", detail.jobs.map((job) => `${escaped(job.objective)}, ${escaped(job.goal)}`)),
    row("Best value", detail.jobs.map((job) => (job.best_trial === null ? "–" : `<a href="/jobs/${encodeURIComponent(job.job)}/trials/${job.best_trial}">${exact(job.best_value)}</a>`))),
    ...detail.parameters.map((parameter) => row(parameter.name, parameter.best.map(exact))),
  ];
  const table = element(`<table class="sides"><thead><tr><td></td>${head}</tr></thead><tbody>${rows.join("")}</tbody></table>`);
  document.getElementById("side-by-side").replaceChildren(table);
});
