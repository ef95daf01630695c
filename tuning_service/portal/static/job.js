// What all pages of one job do: change its budget, add a trial, copy it as text, and choices that steer charts.
import { api, ask, copied, toast } from "./core.js";
import { set } from "./charts.js";
import { configurationForm } from "./job_space.js";

const head = () => document.getElementById("job-head");
const path = (rest = "") => `/v1/tuning-jobs/${head().dataset.job}${rest}`;

function field(name, label, value, hint) {
  return `<label class="field">${label} <input name="${name}" value="${value ?? ""}" inputmode="decimal" autocomplete="off"><span class="hint">${hint}</span></label>`;
}

// Reads numbers as they stand in the form; null where there is none. What is no number goes as text: REST says so.
function numberIn(form, name) {
  const text = String(form.get(name)).trim();
  if (text === "") return null;
  return Number.isFinite(Number(text)) ? Number(text) : text;
}

async function changeBudget() {
  const job = await api("GET", path());
  const { budget } = job.spec;
  const counted = 'inputmode="numeric" autocomplete="off"';
  const asked = ask(
    "Change this job",
    `<label class="field">Name <input name="name" dir="auto" autocomplete="off"></label>
    <div class="columns">
    ${field("trials", "Trials", budget.trials, `${job.progress.done} have ended. With fewer than have begun the job ends when those have.`)}
    ${field("parallel", "In parallel", budget.parallel, "How many run at once.")}
    ${field("minutes", "Minutes", budget.minutes, "Of running time for the whole job. Empty: no limit.")}
    ${field("trial_minutes", "Minutes per trial", budget.trial_minutes, "Empty: no limit.")}
    ${field("failures", "Failures", budget.failures, "Failed trials in a row after which the job gives up.")}
    </div>`,
    {
      yes: "Change",
      act: async (form) => {
        const changed = {};
        for (const name of ["trials", "parallel", "minutes", "trial_minutes", "failures"]) {
          const value = numberIn(form, name);
          if (value !== budget[name]) changed[name] = value;
        }
        const body = Object.keys(changed).length ? { budget: changed } : {};
        if (form.get("name").trim() !== job.name) body.name = form.get("name").trim();
        if (!Object.keys(body).length) return;
        await api("PATCH", path(), body);
        toast("Changed.");
        document.dispatchEvent(new Event("portal:refresh"));
      },
    },
  );
  // The name may hold anything: it is no part of the dialog's HTML.
  opened().querySelector('[name="name"]').value = job.name;
  await asked;
}

const opened = () => [...document.querySelectorAll("dialog[open]")].at(-1);

async function addTrial() {
  const [job, best] = await Promise.all([api("GET", path()), api("GET", path("/best?limit=1"))]);
  const begin = best.by_observation;
  const form = configurationForm(job.spec.space, begin?.params ?? {});
  const told = begin ? `These are the values of the best trial, ${begin.number}: change what you want to try.` : "Choose what is to be tried.";
  const rules = job.spec.constraints.length ? `<p class="muted">Must hold: <span data-rules></span></p>` : "";
  const asked = ask("Add a trial", `<p>${told} It comes next, and counts within the budget.</p>${rules}<div data-space></div>`, {
    yes: "Add",
    act: async () => {
      await api("POST", path("/points"), { points: [form.values()] });
      toast("Added: it is tried next.");
      document.dispatchEvent(new Event("portal:refresh"));
    },
  });
  const dialog = opened();
  dialog.querySelector("[data-space]").replaceWith(form.element);
  if (rules) dialog.querySelector("[data-rules]").textContent = job.spec.constraints.join("; ");
  form.element.querySelector("input, select")?.focus();
  await asked;
}

async function run(action, button) {
  button.disabled = true;
  try {
    await action();
  } catch (problem) {
    toast(problem.message, "bad");
  } finally {
    button.disabled = false;
  }
}

async function copyAs(kind) {
  const text = await api("GET", path(`/file?as=${kind}`));
  await copied(typeof text === "string" ? text : JSON.stringify(text, null, 2));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.id === "change") run(changeBudget, button);
  else if (button?.id === "add-trial") run(addTrial, button);
  else if (button?.dataset.copy) run(() => copyAs(button.dataset.copy), button);
});

// On a narrow screen the tab of this page may be out of sight.
document.querySelector(".job-head .tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });

// <select data-sets="metric" data-of="chart-curves">: changes what the chart asks for, and this page's address, so that
// a reload shows the same.
const before = new WeakMap();
document.addEventListener("focusin", (event) => {
  if (event.target.matches("select[data-sets]")) before.set(event.target, event.target.value);
});
document.addEventListener("input", (event) => {
  const input = event.target;
  if (!input.matches("[data-sets]")) return;
  const chosen = { [input.dataset.sets]: input.value };
  for (const other of document.querySelectorAll(`select[data-of="${input.dataset.of}"]`)) {
    // Two axes cannot show the same: they change places.
    if (other !== input && ["x", "y"].includes(other.dataset.sets) && other.value === input.value && before.has(input)) {
      other.value = before.get(input);
      chosen[other.dataset.sets] = other.value;
    }
  }
  before.set(input, input.value);
  const address = new URL(location.href);
  for (const [name, value] of Object.entries(chosen)) address.searchParams.set(name, value);
  history.replaceState(history.state, "", address);
  set(document.getElementById(input.dataset.of), chosen);
});
