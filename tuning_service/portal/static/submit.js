// The form for a new job. One job file is behind it: the form writes it, the text beside it too, and the service says
// after each change what is wrong where and what it would try. What was entered stays in this browser until it is sent.
import { api, copied, element, escaped, number, toast } from "./core.js";
import { packed } from "./archive.js";
import { Space, shown, value } from "./submit_space.js";

const DRAFT = "tuning-new-job";
const SAMPLES = 6;
const WAIT_MS = 350;

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const form = $("job");
const yaml = $("yaml");
let extra = {}; // fields of the job file that the form does not show
let asking = null;
let timer = null;
let problems = [];
let sent = false;

// -- the form and the job file

const fields = () => [...form.querySelectorAll("[data-path]")];

function get(file, path) {
  return path.split(".").reduce((part, name) => part?.[name], file);
}

function put(file, path, item) {
  const names = path.split(".");
  const last = names.pop();
  let part = file;
  for (const name of names) part = part[name] ??= {};
  part[last] = item;
}

function readField(input) {
  const text = input.value.trim();
  if (text === "" || text === input.dataset.default) return undefined;
  switch (input.dataset.type) {
    case "number":
      return value(text);
    case "lines":
      return text.split("\n").map((line) => line.trim()).filter(Boolean);
    case "jsonlines":
      return text.split("\n").filter((line) => line.trim()).map((line) => {
        try {
          return JSON.parse(line);
        } catch {
          return line.trim();
        }
      });
    default:
      return text;
  }
}

function writeField(input, item) {
  if (item === undefined || item === null) input.value = input.dataset.default ?? "";
  else if (input.dataset.type === "lines") input.value = [item].flat().join("\n");
  else if (input.dataset.type === "jsonlines") input.value = item.map((each) => JSON.stringify(each)).join("\n");
  else input.value = item;
  if (input.tagName === "TEXTAREA") input.rows = Math.max(input.rows, Math.min(8, input.value.split("\n").length));
}

function readObjectives() {
  const rows = [...form.querySelectorAll(".objective")].map((row) => {
    const one = {};
    for (const input of row.querySelectorAll("[data-key]")) one[input.dataset.key] = input.value.trim();
    if (one.summary === "best") delete one.summary;
    return one;
  });
  return rows.length === 1 ? rows[0] : rows;
}

function read() {
  const file = structuredClone(extra);
  for (const input of fields()) {
    const item = readField(input);
    if (item !== undefined) put(file, input.dataset.path, item);
  }
  file.space = space.read();
  file.objective = readObjectives();
  const options = readOptions();
  if (Object.keys(options).length) put(file, "algorithm.options", options);
  return file;
}

function fill(file) {
  const known = new Set(fields().map((input) => input.dataset.path.split(".")[0]));
  extra = {};
  for (const [name, item] of Object.entries(file)) {
    if (!known.has(name) && name !== "space" && name !== "objective") extra[name] = item;
  }
  if (file.algorithm?.version) put(extra, "algorithm.version", file.algorithm.version);
  for (const input of fields()) {
    const item = get(file, input.dataset.path);
    if (input === document.activeElement) continue;
    if (input.id === "program" && item && ![...input.options].some((option) => option.value === item)) addProgram(item, []);
    writeField(input, item);
  }
  if (!space.box.contains(document.activeElement)) space.fill(file.space || {});
  fillObjectives([file.objective || {}].flat());
  fillOptions(file.algorithm?.options || {});
  programChosen();
}

// What the text says may have any shape while it is being written.
function fillFromText(document) {
  const isMap = (item) => typeof item === "object" && item !== null && !Array.isArray(item);
  const file = { ...document };
  file.space = Object.fromEntries(Object.entries(isMap(file.space) ? file.space : {}).filter(([, entry]) => isMap(entry)));
  file.objective = [file.objective].flat().filter(isMap);
  if (file.points !== undefined && !Array.isArray(file.points)) delete file.points;
  fill(file);
}

// -- objectives

function addObjective(one = {}) {
  const row = $("objective").content.firstElementChild.cloneNode(true);
  for (const input of row.querySelectorAll("[data-key]")) if (one[input.dataset.key]) input.value = one[input.dataset.key];
  $("objectives").append(row);
  arrangeObjectives();
  return row;
}

function fillObjectives(all) {
  if ($("objectives").contains(document.activeElement)) return;
  $("objectives").replaceChildren();
  for (const one of all.length ? all : [{}]) addObjective(one);
}

function arrangeObjectives() {
  const rows = [...form.querySelectorAll(".objective")];
  rows.forEach((row, i) => {
    const where = rows.length === 1 ? "objective" : `objective.${i}`;
    row.setAttribute("aria-label", `Objective ${i + 1}`);
    row.querySelector("[data-remove]").hidden = rows.length === 1;
    for (const input of row.querySelectorAll("[data-key]")) input.dataset.field = `${where}.${input.dataset.key}`;
  });
}

// -- the algorithm's options

const chosenAlgorithm = () => data.algorithms.find((item) => item.name === $("algorithm").value);

function fillOptions(given) {
  const chosen = chosenAlgorithm();
  $("algorithm-summary").textContent = chosen?.summary || "";
  if ($("options").contains(document.activeElement)) return;
  const rows = Object.entries(chosen?.options?.properties || {}).map(([name, option]) => {
    const choices = option.enum || option.anyOf?.find((part) => part.enum)?.enum;
    const start = option.default === undefined ? "" : typeof option.default === "string" ? option.default : JSON.stringify(option.default);
    const input = choices
      ? `<select data-option="${escaped(name)}"><option value="">${escaped(start)} (usual)</option>${choices.map((item) => `<option value="${escaped(item)}">${escaped(item)}</option>`).join("")}</select>`
      : `<input data-option="${escaped(name)}" placeholder="${escaped(start)}" spellcheck="false">`;
    return `<label class="field">${escaped(name)} ${input}<span class="hint">${escaped(option.description || "")}</span></label>`;
  });
  $("options").innerHTML = rows.length ? `<details${Object.keys(given).length ? " open" : ""}><summary>Options of ${escaped(chosen.name)}</summary>${rows.join("")}</details>` : "";
  for (const input of $("options").querySelectorAll("[data-option]")) {
    const item = given[input.dataset.option];
    input.dataset.field = `algorithm.options.${input.dataset.option}`;
    if (item !== undefined) input.value = typeof item === "string" ? shown(item) : JSON.stringify(item);
  }
}

function readOptions() {
  const options = {};
  for (const input of $("options").querySelectorAll("[data-option]")) {
    const text = input.value.trim();
    if (text === "") continue;
    try {
      options[input.dataset.option] = JSON.parse(text);
    } catch {
      options[input.dataset.option] = value(text);
    }
  }
  return options;
}

// -- programs

function addProgram(digest, files) {
  data.programs[digest] ??= files;
  const label = `${files.slice(0, 4).join(", ") || "program"} · ${digest.slice(0, 8)}`;
  if (![...$("program").options].some((option) => option.value === digest)) $("program").add(new Option(label, digest), 1);
}

async function upload(body, what) {
  if (body.size > data.most_bytes) {
    $("upload-state").textContent = `${what} has ${body.size.toLocaleString()} bytes; ${data.most_bytes.toLocaleString()} are allowed. Leave out data and checkpoints.`;
    $("upload-state").classList.add("field-error");
    return;
  }
  $("upload-state").classList.remove("field-error");
  $("upload-state").textContent = "Uploading…";
  try {
    const made = await api("POST", "/v1/programs", body);
    addProgram(made.digest, made.files);
    $("program").value = made.digest;
    $("upload-state").textContent = `Uploaded: ${made.files.length} file${made.files.length === 1 ? "" : "s"}.`;
    suggest(made.files);
    programChosen();
    changed();
  } catch (problem) {
    $("upload-state").textContent = problem.errors?.length ? problem.errors.map((each) => `${each.message} ${each.remedy}`).join(" ") : problem.message;
    $("upload-state").classList.add("field-error");
  }
}

function suggest(files) {
  const command = form.querySelector('[data-path="command"]');
  const framework = form.querySelector('[data-path="framework"]');
  const script = ["train.py", "main.py"].find((name) => files.includes(name)) || files.find((name) => /^[^/]+\.py$/.test(name));
  if (files.some((name) => name.endsWith(".prototxt")) && !script) framework.value = "caffe";
  else if (script && !command.value) command.value = `python ${script}`;
}

let offeredFor = "";

async function programChosen() {
  const digest = $("program").value;
  const files = data.programs[digest] || [];
  $("program-files").innerHTML = files.length
    ? `<details><summary>${files.length} file${files.length === 1 ? "" : "s"}</summary><ul class="files">${files.slice(0, 200).map((name) => `<li>${escaped(name)}</li>`).join("")}</ul></details>`
    : "";
  if (digest === offeredFor) return;
  offeredFor = digest;
  $("placeholders").hidden = true;
  if (!files.some((name) => name.endsWith(".prototxt"))) return;
  try {
    const { items } = await api("GET", `/v1/programs/${digest}/placeholders`);
    offer(items);
  } catch {
    // Nothing to offer: the form works without.
  }
}

function offer(items) {
  const box = $("placeholders");
  const known = new Set(Object.keys(space.read()));
  const open = items.filter((item) => !known.has(item.name));
  box.hidden = !open.length;
  box.innerHTML = '<p>Placeholders found in the templates:</p><div class="buttons"></div>';
  for (const item of open) {
    const button = element('<button type="button"></button>');
    button.textContent = `Add ${item.name}`;
    button.title = `${item.file}, line ${item.line}`;
    button.addEventListener("click", () => {
      space.add(item.name, item.suggestion || { type: "float" });
      button.remove();
      box.hidden = !box.querySelector("button");
      changed();
    });
    box.querySelector(".buttons").append(button);
  }
}

// -- what the service says

async function preview(body, fromText) {
  asking?.abort();
  asking = new AbortController();
  try {
    const answer = await api("POST", "/v1/tuning-jobs/preview", { ...body, samples: SAMPLES }, { signal: asking.signal });
    problems = answer.problems;
    if (fromText && answer.document) fillFromText(answer.document);
    if (!fromText && answer.yaml) yaml.value = answer.yaml;
    showProblems(fromText);
    showSamples(answer);
    $("yaml-state").textContent = !fromText && !answer.yaml ? "As it was before the problem in the form." : "";
  } catch (problem) {
    if (problem.name !== "AbortError") $("yaml-state").textContent = problem.message;
  }
}

function nearest(field) {
  for (let path = field; path; path = path.split(".").slice(0, -1).join(".")) {
    const input = form.querySelector(`[data-path="${CSS.escape(path)}"], [data-field="${CSS.escape(path)}"]`);
    if (input && !input.closest("[hidden]")) return input;
    if (input?.closest(".parameter")) return input.closest(".parameter");
  }
  return null;
}

function showProblems(fromText) {
  for (const old of form.querySelectorAll(".field-error:not(#upload-state)")) old.remove();
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  const rest = [];
  const untouched = !sent && !fromText;
  let count = 0;
  for (const { field, message, remedy } of problems) {
    // What was not filled in yet is no error before somebody tries to send it.
    if (untouched && /missing|required|is empty|names no|Field required/i.test(message)) continue;
    count += 1;
    const input = nearest(field);
    const text = `${message[0].toUpperCase()}${message.slice(1)} ${remedy || ""}`;
    if (!input) {
      rest.push(`${field}: ${text}`);
      continue;
    }
    input.closest("details")?.setAttribute("open", "");
    const note = element('<span class="field-error"></span>');
    note.textContent = text;
    note.id = `error-${field.replaceAll(/\W/g, "-")}-${count}`;
    if (input.matches("input, select, textarea")) {
      input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-describedby", note.id);
      input.after(note);
    } else input.append(note);
  }
  $("rest").textContent = rest.join("\n");
  $("rest").hidden = !rest.length;
  $("count").textContent = problems.length && (sent || fromText) ? `${problems.length} problem${problems.length === 1 ? "" : "s"}` : "";
  const list = fromText ? problems : [];
  $("yaml-problems").innerHTML = list.map((each) => `<p class="field-error">${each.line ? `<button type="button" class="quiet" data-line="${Number(each.line)}">Line ${Number(each.line)}</button> ` : ""}${escaped(each.field)}: ${escaped(each.message)} ${escaped(each.remedy || "")}</p>`).join("");
}

function showSamples(answer) {
  $("grid-size").textContent = answer.grid_size ? `${Number(answer.grid_size).toLocaleString()} in all` : "";
  $("notes").textContent = (answer.notes || []).join(" ");
  const samples = answer.samples || [];
  if (!samples.length) return;
  const names = [...new Set(samples.flatMap((sample) => Object.keys(sample)))];
  const order = Object.keys(answer.document?.space || {});
  names.sort((a, b) => order.indexOf(a) - order.indexOf(b));
  $("samples").innerHTML = `<table><thead><tr>${names.map((name) => `<th scope="col">${escaped(name)}</th>`).join("")}</tr></thead><tbody>${samples
    .map((sample) => `<tr>${names.map((name) => `<td${typeof sample[name] === "number" ? ' class="num"' : ""}>${name in sample ? escaped(number(sample[name])) : '<span class="muted" title="Not active">–</span>'}</td>`).join("")}</tr>`)
    .join("")}</tbody></table>`;
}

function changed() {
  localStorage.setItem(DRAFT, JSON.stringify(read()));
  clearTimeout(timer);
  timer = setTimeout(() => preview({ file: read() }, false), WAIT_MS);
}

// -- where it starts

async function startFrom(choice) {
  const [kind, name] = choice.split(/:(.*)/s);
  if (kind === "example") {
    const example = await api("GET", `/v1/examples/${encodeURIComponent(name)}`);
    const program = await api("POST", `/v1/examples/${encodeURIComponent(name)}/program`);
    addProgram(program.digest, program.files);
    fill({ ...example.file, program: program.digest });
  } else {
    const file = await api("GET", `/v1/tuning-jobs/${encodeURIComponent(name)}/file?as=json`);
    fill(file);
  }
  changed();
}

async function withPoint(job, trial) {
  const { params } = await api("GET", `/v1/tuning-jobs/${encodeURIComponent(job)}/trials/${encodeURIComponent(trial)}`);
  const file = read();
  fill({ ...file, points: [params, ...(file.points || [])] });
  changed();
}

function empty() {
  localStorage.removeItem(DRAFT);
  extra = {};
  form.reset();
  space.fill({});
  fillObjectives([{}]);
  fillOptions({});
  yaml.value = "";
  $("restored").hidden = true;
  programChosen();
  preview({ file: read() }, false);
}

async function start() {
  for (const item of data.algorithms) $("algorithm").add(new Option(item.status === "ready" ? item.name : `${item.name} (${item.status})`, item.name));
  fillObjectives([{}]);
  fillOptions({});
  const draft = localStorage.getItem(DRAFT);
  try {
    if (data.from) {
      await startFrom(`job:${data.from}`);
      if (data.point) await withPoint(data.from, data.point);
    } else if (draft) {
      fill(JSON.parse(draft));
      $("restored").hidden = false;
      changed();
    }
  } catch (problem) {
    toast(problem.message, "bad");
  }
  try {
    const { items } = await api("GET", "/v1/examples");
    for (const item of items) $("start-from").add(new Option(`example: ${item.title || item.name}`, `example:${item.name}`));
  } catch {
    // The form works without examples.
  }
}

const space = new Space($("space"), $("parameter"), changed);
form.addEventListener("input", (event) => {
  if (!space.box.contains(event.target)) changed();
});
form.addEventListener("change", (event) => event.target.id === "program" && programChosen());
$("algorithm").addEventListener("change", () => {
  delete extra.algorithm;
  fillOptions({});
});
$("add-parameter").addEventListener("click", () => {
  space.add().querySelector("input").focus();
});
$("add-objective").addEventListener("click", () => {
  addObjective().querySelector("input").focus();
  changed();
});
$("objectives").addEventListener("click", (event) => {
  if (!event.target.matches("[data-remove]")) return;
  event.target.closest(".objective").remove();
  arrangeObjectives();
  changed();
});
$("archive").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (file) await upload(file, file.name);
  event.target.value = "";
});
$("folder").addEventListener("change", async (event) => {
  try {
    await upload(await packed(event.target.files), "The folder");
  } catch (error) {
    $("upload-state").textContent = error.message;
  }
  event.target.value = "";
});
yaml.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => preview({ yaml: yaml.value }, true).then(() => localStorage.setItem(DRAFT, JSON.stringify(read()))), WAIT_MS);
});
$("yaml-problems").addEventListener("click", (event) => {
  const line = Number(event.target.dataset?.line);
  if (!line) return;
  const lines = yaml.value.split("\n");
  const from = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  yaml.focus();
  yaml.setSelectionRange(from, from + lines[line - 1].length);
});
$("copy-yaml").addEventListener("click", () => copied(yaml.value));
$("clear").addEventListener("click", empty);
$("discard").addEventListener("click", empty);
$("start-from").addEventListener("change", async (event) => {
  try {
    if (event.target.value) await startFrom(event.target.value);
    else empty();
  } catch (problem) {
    toast(problem.message, "bad");
  }
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  sent = true;
  clearTimeout(timer);
  const button = $("start");
  button.disabled = true;
  try {
    const job = await api("POST", "/v1/tuning-jobs", read());
    localStorage.removeItem(DRAFT);
    location.assign(`/jobs/${job.id}`);
  } catch (problem) {
    problems = problem.errors || [];
    showProblems(false);
    if (!problems.length) {
      $("rest").textContent = problem.message;
      $("rest").hidden = false;
    }
    (form.querySelector("[aria-invalid]") || $("rest")).scrollIntoView({ block: "center" });
    form.querySelector("[aria-invalid]")?.focus({ preventScroll: true });
    button.disabled = false;
  }
});
start();
