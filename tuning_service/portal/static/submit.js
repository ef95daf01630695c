// The form for a new job. One job file is behind it: the form writes it, the text beside it too, and the service says
// after each change what is wrong where and what it would try. What was entered stays in this browser until it is sent.
import { api, copied } from "./core.js";
import { Draft } from "./submit_draft.js";
import { JobForm } from "./submit_form.js";
import { Problems, jump, listed } from "./submit_problems.js";
import { Program } from "./submit_program.js";
import { table } from "./submit_samples.js";

const SAMPLES = 5;
const WAIT_MS = 300;

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const form = $("job");
const yaml = $("yaml");
const draft = new Draft(`tuning-new-job:${data.who}`); // of each who uses this browser
const FROM = location.search;

let asking = null;
let timer = null;
let problems = []; // what the service said last
let eager = false; // somebody wanted to start: what is not filled in is wrong, too
let unreadable = false; // the text beside the form is no YAML at the moment
let unread = false; // it has changed since the service has seen it
let alike = {}; // what the form said when the text was last like it
let untold = false; // something was entered that is not kept yet
let done = false;

// -- what was entered, kept

function captured() {
  return { ...job.capture(), text: unreadable ? yaml.value : null, alike: unreadable ? alike : null, from: FROM };
}

function keep() {
  if (done || !untold) return;
  untold = false;
  draft.keep(captured());
}

function forget() {
  untold = false;
  draft.forget();
}

function restore(kept) {
  job.restore(kept);
  program.chosen();
  if (kept.text === null || kept.text === undefined) return changed();
  yaml.value = kept.text;
  textChanged();
  alike = kept.alike || alike;
  return undefined;
}

// A line above the form, with what can be done about it.
function tell(text, label = "", act = null) {
  $("notice").hidden = !text;
  $("notice").querySelector("span").textContent = text;
  const button = $("notice").querySelector("button");
  button.hidden = !label;
  button.textContent = label;
  button.onclick = () => {
    tell("");
    act();
  };
}

// Puts something else into the form; what was there can be had back.
function replace(what, fill, before = captured()) {
  eager = false;
  unreadable = false;
  fill();
  program.chosen();
  changed();
  tell(what, "Undo", () => restore(before));
}

// -- what the service says

function abandon() {
  clearTimeout(timer);
  asking?.abort();
}

async function preview(body, fromText) {
  asking?.abort();
  const mine = (asking = new AbortController());
  let answer;
  try {
    answer = await api("POST", "/v1/tuning-jobs/preview", { ...body, samples: SAMPLES }, { signal: mine.signal });
  } catch (problem) {
    unread ||= fromText;
    if (problem.name !== "AbortError") $("yaml-state").textContent = problem.errors?.length ? problem.errors[0].message : problem.message;
    return;
  }
  unread ||= fromText && mine.signal.aborted;
  if (mine.signal.aborted) return;
  if (fromText) readText(answer);
  else if (!unreadable && answer.yaml !== null) yaml.value = answer.yaml;
  problems = answer.problems.filter(({ field }) => field !== "yaml");
  showProblems();
  showText(fromText ? answer.problems : []);
  showSamples(answer);
  keep();
}

function readText(answer) {
  unreadable = answer.document === null && yaml.value.trim() !== "";
  if (unreadable) return;
  const file = answer.document || {};
  const changes = changedMeanwhile();
  for (const [name, item] of changes) {
    if (item === undefined) delete file[name];
    else file[name] = item;
  }
  job.fill(file);
  program.chosen();
  program.offer();
  if (!changes.length) return;
  tell("The text can be read again. What you had changed in the form meanwhile was kept.");
  look(); // so that the text says so, too
}

// What the form says otherwise than when the text was last like it: [name, value] of the job file.
function changedMeanwhile() {
  const now = job.read();
  const names = new Set([...Object.keys(alike), ...Object.keys(now)]);
  return [...names].filter((name) => JSON.stringify(alike[name]) !== JSON.stringify(now[name])).map((name) => [name, now[name]]);
}

function showProblems() {
  found.show([...job.problems(), ...problems], eager);
}

function showText(fromText) {
  const lines = fromText.filter(({ field, line }) => line || field === "yaml" || eager).sort((one, other) => (one.line || Infinity) - (other.line || Infinity));
  $("yaml-problems").innerHTML = yaml.value.trim() ? listed(lines) : "";
  $("yaml-state").textContent = unreadable ? "Cannot be read: the form shows what it said before." : "";
  $("from-form").hidden = !unreadable;
  yaml.setAttribute("aria-invalid", String(unreadable));
}

function showSamples(answer) {
  const samples = answer.samples || [];
  const names = Object.keys(answer.document?.space || {});
  $("grid-size").textContent = answer.grid_size ? `${answer.grid_size.toLocaleString("en")} in all` : "";
  $("notes").textContent = (answer.notes || []).join(" ");
  if (!samples.length) {
    const why = names.length || unreadable ? "Shown when the parameters are right." : "Add a parameter to see some.";
    $("samples").innerHTML = `<p class="muted">${why}</p>`;
    return;
  }
  $("samples").innerHTML = table(names, samples);
}

// Asks the service anew, soon.
function look() {
  abandon();
  timer = setTimeout(() => {
    program.offer();
    if (unreadable && unread) lookAtText();
    else preview({ file: job.read() }, false);
  }, WAIT_MS);
}

function changed() {
  untold = true;
  look();
}

function textChanged() {
  abandon();
  if (!unreadable) alike = job.read();
  untold = true;
  unread = true;
  unreadable = true; // as far as is known: what stands there is kept as it is
  timer = setTimeout(lookAtText, WAIT_MS);
}

function lookAtText() {
  clearTimeout(timer);
  unread = false;
  return preview({ yaml: yaml.value }, true);
}

// -- where it starts

let choices = 0;

async function startFrom(choice, label, before) {
  const mine = (choices += 1);
  const isLast = () => mine === choices; // somebody may choose again before the answer is there
  const [kind, name] = choice.split(/:(.*)/s);
  const at = encodeURIComponent(name);
  if (kind === "example") {
    const [example, made] = await Promise.all([api("GET", `/v1/examples/${at}`), api("POST", `/v1/examples/${at}/program`)]);
    program.add(made);
    if (!isLast()) return;
    replace(`Filled in from ${label}.`, () => job.fill({ ...example.file, program: made.digest }), before);
    return;
  }
  const file = await api("GET", `/v1/tuning-jobs/${at}/file?as=json`);
  label ||= `the job ${file.name}`;
  if (data.point && name === data.from) {
    const { params } = await api("GET", `/v1/tuning-jobs/${at}/trials/${encodeURIComponent(data.point)}`);
    file.points = [params, ...(file.points || [])];
    label = `${label}; its trial ${data.point} is tried first`;
  }
  if (isLast()) replace(`Filled in from ${label}.`, () => job.fill(file), before);
}

async function start() {
  const kept = draft.read();
  if (kept && (kept.from === FROM || !data.from)) {
    restore(kept);
    tell("What you had entered here before has been restored.", "Start anew", empty);
  } else if (data.from) {
    try {
      await startFrom(`job:${data.from}`, "", kept || undefined);
    } catch (problem) {
      tell(`${problem.message} Nothing was filled in.`);
    }
  } else look();
}

function empty() {
  replace("The form is empty.", () => {
    yaml.value = "";
    program.forget();
    job.clear();
  });
  forget();
}

// -- starting the job

let sending = false;
let attempt = { body: "", key: "" };

// The same for what is sent again since nobody knows whether it had arrived.
function keyOf(body) {
  const text = JSON.stringify(body);
  if (attempt.body !== text) attempt = { body: text, key: [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("") };
  return attempt.key;
}

async function send() {
  abandon();
  eager = true;
  if (program.uploading && !(await program.uploading)) {
    program.state.scrollIntoView({ block: "center" }); // which says why; another program is not what was meant
    return false;
  }
  if (unreadable) {
    // It may just have been written, or not be readable at all.
    await lookAtText();
    if (unreadable) {
      yaml.scrollIntoView({ block: "center" });
      yaml.focus({ preventScroll: true });
      return false;
    }
  }
  const local = job.problems();
  if (local.length) {
    showProblems();
    found.focus();
    return false;
  }
  const body = job.read();
  try {
    const made = await api("POST", "/v1/tuning-jobs", body, { headers: { "Idempotency-Key": keyOf(body) } });
    done = true;
    forget();
    location.assign(`/jobs/${made.id}`);
    return true;
  } catch (problem) {
    if (problem.status && problem.status < 500) attempt = { body: "", key: "" };
    const refused = problem.errors?.length ? problem.errors : [{ field: "", message: problem.message, remedy: "" }];
    // A submission is refused at its first step that fails; the preview tells of all.
    if (problem.errors?.length) await preview({ file: body }, false);
    problems = [...refused, ...problems.filter(({ field }) => !refused.some((each) => each.field === field))];
    showProblems();
    found.focus();
    untold = true;
    keep();
    return false;
  }
}

async function submit() {
  if (sending) return;
  sending = true;
  const button = $("start");
  button.setAttribute("aria-disabled", "true");
  button.textContent = "Starting…";
  try {
    if (await send()) return; // until the job's page is there
  } catch (error) {
    tell(error.message);
  }
  sending = false;
  button.removeAttribute("aria-disabled");
  button.textContent = "Start the job";
}

// -- all together

const found = new Problems(form, { rest: $("rest"), count: $("count"), needed: $("needed") });
const job = new JobForm(form, data, () => changed());
const program = new Program(job, data.most_bytes, () => changed());

form.addEventListener("input", (event) => {
  if (event.target.type === "file" || job.space.box.contains(event.target)) return; // which tell it themselves
  if (event.target === job.algorithm) job.algorithmChosen();
  if (event.target === program.select) program.chosen();
  job.tellCommand();
  job.grow(event.target);
  changed();
});
form.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing) return;
  // A job costs: it is started by the button, or on purpose.
  if (event.target.matches("input:not([type=file])")) event.preventDefault();
  if (event.ctrlKey || event.metaKey) submit();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
$("add-parameter").addEventListener("click", () => {
  const row = job.space.add();
  job.space.arrange();
  row.querySelector("input").focus();
  changed();
});
$("add-objective").addEventListener("click", () => {
  job.addObjective().querySelector("input").focus();
  changed();
});
$("objectives").addEventListener("click", (event) => {
  if (!event.target.matches("[data-remove]")) return;
  event.target.closest(".objective").remove();
  job.arrangeObjectives();
  $("add-objective").focus();
  changed();
});
yaml.addEventListener("input", textChanged);
yaml.addEventListener("blur", () => unreadable && unread && lookAtText());
$("yaml-problems").addEventListener("click", (event) => {
  const { line, column } = event.target.dataset;
  if (line) jump(yaml, Number(line), Number(column));
});
$("from-form").addEventListener("click", () => {
  const before = captured();
  unreadable = false;
  changed();
  tell("The text was rewritten.", "Undo", () => restore(before));
});
$("copy-yaml").addEventListener("click", () => copied(yaml.value));
$("clear").addEventListener("click", empty);
$("start-from").addEventListener("change", async (event) => {
  const [chosen] = event.target.selectedOptions;
  event.target.value = "";
  try {
    await startFrom(chosen.value, chosen.dataset.label);
  } catch (problem) {
    tell(`${problem.message} Nothing was filled in.`);
  }
});
addEventListener("pagehide", keep);
// Come back to from the job's page, as the browser had put it aside: it begins anew.
addEventListener("pageshow", (event) => event.persisted && location.reload());
document.addEventListener("visibilitychange", keep);
start().finally(() => {
  // What is entered before would be lost.
  document.querySelector(".submit").inert = false;
  for (const control of [$("start-from"), $("clear")]) control.disabled = false;
});
