// The form as a job file, and a job file in the form. What the form has no field for is kept as it is.
import { escaped } from "./core.js";
import { Space, choose } from "./submit_space.js";
import { numberProblem, point, shown, value } from "./submit_values.js";

const isMap = (item) => typeof item === "object" && item !== null && !Array.isArray(item);
const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);
const all = (box, selector) => [...box.querySelectorAll(selector)];

function put(file, path, item) {
  const names = path.split(".");
  const last = names.pop();
  let part = file;
  for (const name of names) part = part[name] = isMap(part[name]) ? part[name] : {};
  part[last] = item;
}

function take(file, path) {
  const names = path.split(".");
  const last = names.pop();
  const part = names.reduce((found, name) => found?.[name], file);
  if (isMap(part)) delete part[last];
}

const get = (file, path) => path.split(".").reduce((part, name) => (isMap(part) ? part[name] : undefined), file);

export class JobForm {
  // `algorithms` are those of the catalogue, `commands` those that frameworks have of their own; `changed()` is called
  // when the parameters were.
  constructor(form, { algorithms, commands }, changed) {
    this.form = form;
    this.commands = commands;
    this.algorithms = algorithms;
    this.extra = {};
    this.space = new Space(form.querySelector("#space"), document.getElementById("parameter"), changed);
    this.objectives = form.querySelector("#objectives");
    this.options = form.querySelector("#options");
    this.algorithm = form.querySelector("#algorithm");
    for (const item of algorithms) {
      if ([...this.algorithm.options].some((option) => option.value === item.name)) continue; // an older version
      this.algorithm.add(new Option(item.status === "ready" ? item.name : `${item.name} (${item.status})`, item.name));
    }
    this.clear();
  }

  get fields() {
    return all(this.form, "[data-path]");
  }

  clear() {
    this.extra = {};
    this.form.reset();
    this.space.restore([]);
    this.#fillObjectives([{}]);
    this.fillOptions({});
    this.tellCommand();
  }

  // -- as a job file

  read() {
    const file = structuredClone(this.extra);
    for (const input of this.fields) {
      const item = this.#readField(input);
      if (item !== undefined) put(file, input.dataset.path, item);
    }
    file.space = this.space.read();
    file.objective = this.#readObjectives();
    for (const input of all(this.options, "[data-option]")) {
      const text = input.value.trim();
      if (text === "") continue;
      let item;
      try {
        item = JSON.parse(text);
      } catch {
        item = value(text);
      }
      put(file, `algorithm.options.${input.dataset.option}`, item);
    }
    return file;
  }

  #readField(input) {
    const text = input.value.trim();
    if (text === "" || text === input.dataset.default) return undefined;
    switch (input.dataset.type) {
      case "number":
        return value(text);
      case "lines":
        return lines(text);
      case "points":
        return lines(text).map((line) => point(line) ?? line);
      default:
        return text;
    }
  }

  #readObjectives() {
    const rows = all(this.objectives, ".objective").map((row) => {
      const one = {};
      for (const input of all(row, "[data-key]")) if (input.value.trim()) one[input.dataset.key] = input.value.trim();
      if (one.summary === "best") delete one.summary;
      return { ...one, ...JSON.parse(row.dataset.rest || "{}") };
    });
    return rows.length === 1 ? rows[0] : rows;
  }

  // The file may have any shape: it is also filled in while its text is being written.
  fill(file) {
    this.extra = structuredClone(file);
    for (const input of this.fields) {
      take(this.extra, input.dataset.path);
      if (input !== document.activeElement) this.#writeField(input, get(file, input.dataset.path));
    }
    const { space, objective } = file;
    delete this.extra.space;
    delete this.extra.objective;
    const entries = Object.entries(isMap(space) ? space : {}).filter(([, entry]) => isMap(entry));
    this.space.fill(Object.fromEntries(entries));
    const objectives = [objective].flat().filter(isMap);
    this.#fillObjectives(objectives.length ? objectives : [{}]);
    this.tellCommand();
    const options = get(file, "algorithm.options");
    this.fillOptions(isMap(options) ? options : {});
    const offered = Object.keys(this.chosen?.options?.properties || {});
    for (const name of offered) take(this.extra, `algorithm.options.${name}`);
    for (const name of ["algorithm", "budget", "resources", "environment"]) {
      if (isMap(this.extra[name]?.options) && !Object.keys(this.extra[name].options).length) delete this.extra[name].options;
      if (isMap(this.extra[name]) && !Object.keys(this.extra[name]).length) delete this.extra[name];
    }
  }

  #writeField(input, item) {
    const type = input.dataset.type;
    if (item === undefined || item === null) {
      input.value = input.dataset.default ?? "";
      if (input.tagName === "SELECT" && input.selectedIndex < 0) input.selectedIndex = 0;
    } else if (type === "lines") input.value = [item].flat().map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n");
    else if (type === "points") input.value = [item].flat().map((each) => (typeof each === "string" ? each : JSON.stringify(each))).join("\n");
    else if (input.tagName === "SELECT") choose(input, typeof item === "object" ? JSON.stringify(item) : String(item));
    else input.value = typeof item === "object" ? JSON.stringify(item) : item;
    this.grow(input);
  }

  grow(input) {
    if (input.tagName === "TEXTAREA") input.rows = Math.max(Number((input.dataset.rows ??= input.rows)), Math.min(8, input.value.split("\n").length));
  }

  // -- objectives

  addObjective(one = {}) {
    const row = document.getElementById("objective").content.firstElementChild.cloneNode(true);
    const known = all(row, "[data-key]").map((input) => {
      const item = one[input.dataset.key];
      if (item !== undefined && item !== null) input.tagName === "SELECT" ? choose(input, String(item)) : (input.value = item);
      return input.dataset.key;
    });
    row.dataset.rest = JSON.stringify(Object.fromEntries(Object.entries(one).filter(([key]) => !known.includes(key))));
    this.objectives.append(row);
    this.arrangeObjectives();
    return row;
  }

  #fillObjectives(wanted) {
    this.objectives.replaceChildren();
    for (const one of wanted) this.addObjective(one);
  }

  arrangeObjectives() {
    const rows = all(this.objectives, ".objective");
    rows.forEach((row, i) => {
      const where = rows.length === 1 ? "objective" : `objective.${i}`;
      row.setAttribute("aria-label", `Objective ${i + 1}`);
      row.querySelector("[data-remove]").hidden = rows.length === 1;
      row.querySelector("[data-remove]").setAttribute("aria-label", `Remove objective ${i + 1}`);
      for (const input of all(row, "[data-key]")) input.dataset.field = `${where}.${input.dataset.key}`;
    });
  }

  // What is run when no command is given.
  tellCommand() {
    const framework = this.form.querySelector('[data-path="framework"]').value;
    this.form.querySelector('[data-path="command"]').placeholder = this.commands[framework] || "python train.py";
  }

  // -- the algorithm's options

  get chosen() {
    return this.algorithms.find((item) => item.name === this.algorithm.value);
  }

  // Another algorithm was chosen by hand.
  algorithmChosen() {
    delete this.extra.algorithm;
    this.fillOptions({});
  }

  fillOptions(given) {
    const chosen = this.chosen;
    this.form.querySelector("#algorithm-summary").textContent = chosen?.summary || "";
    const rows = Object.entries(chosen?.options?.properties || {}).map(([name, option]) => {
      const choices = option.enum || option.anyOf?.find((part) => part.enum)?.enum;
      const usual = option.default === undefined ? "" : typeof option.default === "string" ? option.default : JSON.stringify(option.default);
      const at = `data-option="${escaped(name)}" data-field="algorithm.options.${escaped(name)}"`;
      const input = choices
        ? `<select ${at}><option value="">${escaped(usual)} (usual)</option>${choices.map((item) => `<option value="${escaped(item)}">${escaped(item)}</option>`).join("")}</select>`
        : `<input ${at} placeholder="${escaped(usual)}" spellcheck="false">`;
      return `<label class="field">${escaped(name)} ${input}<span class="hint">${escaped(option.description || "")}</span></label>`;
    });
    const open = Object.keys(given).length || this.options.querySelector("details[open]") ? " open" : "";
    this.options.innerHTML = rows.length ? `<details${open}><summary>Options of ${escaped(chosen.name)}</summary>${rows.join("")}</details>` : "";
    for (const input of all(this.options, "[data-option]")) {
      const item = given[input.dataset.option];
      if (item === undefined) continue;
      const text = typeof item === "string" ? shown(item) : JSON.stringify(item);
      if (input.tagName === "SELECT") choose(input, text);
      else input.value = text;
    }
  }

  // -- as it stands, finished or not

  capture() {
    return {
      fields: Object.fromEntries(this.fields.map((input) => [input.dataset.path, input.value])),
      options: Object.fromEntries(all(this.options, "[data-option]").map((input) => [input.dataset.option, input.value])),
      objectives: all(this.objectives, ".objective").map((row) => ({
        ...Object.fromEntries(all(row, "[data-key]").map((input) => [input.dataset.key, input.value])),
        ...JSON.parse(row.dataset.rest || "{}"),
      })),
      space: this.space.capture(),
      extra: this.extra,
    };
  }

  restore(kept) {
    this.form.reset();
    this.extra = kept.extra;
    for (const input of this.fields) {
      const text = kept.fields[input.dataset.path];
      if (text === undefined) continue;
      if (input.tagName === "SELECT") choose(input, text);
      else input.value = text;
      this.grow(input);
    }
    this.#fillObjectives(kept.objectives);
    this.tellCommand();
    this.fillOptions({});
    for (const input of all(this.options, "[data-option]")) {
      const text = kept.options[input.dataset.option] ?? "";
      if (input.tagName === "SELECT") choose(input, text);
      else input.value = text;
      if (text) input.closest("details").open = true;
    }
    this.space.restore(kept.space);
  }

  // What can be told without the service, and what it cannot tell: as of Space.problems.
  problems() {
    const found = this.space.problems();
    const check = (input, field) => {
      const problem = input.value.trim() && numberProblem(input.value);
      if (problem) found.push({ field, ...problem, input });
    };
    for (const input of this.fields) if (input.dataset.type === "number") check(input, input.dataset.path);
    const properties = this.chosen?.options?.properties || {};
    for (const input of all(this.options, "input[data-option]")) {
      const option = properties[input.dataset.option];
      const kinds = (option.anyOf || [option]).map((part) => part.type);
      const isNumber = kinds.every((kind) => ["number", "integer", "null"].includes(kind));
      if (isNumber && !(kinds.includes("null") && input.value.trim() === "null")) check(input, input.dataset.field);
    }
    const points = this.form.querySelector('[data-path="points"]');
    lines(points.value).forEach((line, i) => {
      if (point(line) === undefined) found.push({ field: `points.${i}`, message: "is no configuration.", remedy: "Write it as lr: 0.01, optimizer: adam.", input: points });
    });
    return found;
  }
}
