// The page /compare: choosing jobs, and their best configurations side by side.
import { escaped, number } from "./core.js";

const MOST = 10;
const form = document.getElementById("choice");

document.getElementById("filter")?.addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const choice of document.querySelectorAll(".choice")) choice.hidden = !choice.dataset.text.includes(wanted);
});

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  const jobs = [...form.querySelectorAll("input:checked")].map((input) => input.value);
  const error = form.querySelector(".form-error");
  error.hidden = jobs.length >= 1 && jobs.length <= MOST;
  error.textContent = jobs.length ? `Choose ${MOST} at most: ${jobs.length} are chosen.` : "Choose some jobs.";
  if (error.hidden) location.assign(`/compare?jobs=${jobs.join(",")}`);
});

document.addEventListener("portal:compared", ({ detail }) => {
  const head = detail.jobs.map((job) => `<th scope="col"><a href="/jobs/${encodeURIComponent(job.job)}">${escaped(job.name)}</a></th>`).join("");
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
  document.getElementById("side-by-side").innerHTML = `<table><thead><tr><td></td>${head}</tr></thead><tbody>${rows.join("")}</tbody></table>`;
});
