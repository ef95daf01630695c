// The list of parameters: a row for each, with the fields that its kind has.
import { element } from "./core.js";
import { numberProblem, shown, value, values } from "./submit_values.js";

const NUMBERS = ["min", "max", "scale", "step", "default"];
const KEYS = {
  float: NUMBERS,
  int: NUMBERS,
  categorical: ["values", "default"],
  ordinal: ["values", "default"],
  bool: ["default"],
  fixed: ["value"],
};
const EVERY = new Set(["type", "when", ...Object.values(KEYS).flat()]);
const isMap = (item) => typeof item === "object" && item !== null && !Array.isArray(item);

const part = (row, key) => row.querySelector(`[data-key="${key}"]`);
const text = (row, key) => part(row, key).value.trim();
const kept = (row, what) => JSON.parse(row.dataset[what] || "{}");

// Chooses `item`; one that is not offered is, for as long as it is chosen.
export function choose(select, item) {
  for (const option of select.querySelectorAll("[data-given]")) if (option.value !== item) option.remove();
  if (![...select.options].some((option) => option.value === item)) {
    const option = new Option(item, item);
    option.dataset.given = "";
    select.add(option);
  }
  select.value = item;
}

export class Space {
  // `box` holds the rows; `changed()` is called whenever one of them was.
  constructor(box, template, changed) {
    this.box = box;
    this.template = template;
    this.names = "";
    box.addEventListener("input", (event) => {
      const row = event.target.closest(".parameter");
      if (event.target.dataset.key === "name") this.rename(row);
      if (event.target.dataset.key === "type" && event.target.value !== "int" && text(row, "scale") === "pow2") part(row, "scale").value = "log";
      this.arrange(row);
      changed();
    });
    box.addEventListener("click", (event) => {
      if (!event.target.matches("[data-remove]")) return;
      const row = event.target.closest(".parameter");
      const next = row.nextElementSibling || row.previousElementSibling;
      row.remove();
      (next?.querySelector("input") || document.getElementById("add-parameter")).focus();
      this.arrange();
      changed();
    });
  }

  get rows() {
    return [...this.box.querySelectorAll(".parameter")];
  }

  make() {
    const row = this.template.content.firstElementChild.cloneNode(true);
    this.box.append(row);
    return row;
  }

  add(name = "", entry = { type: "float" }) {
    const row = this.make();
    const set = (key, item) => {
      if (item !== undefined && item !== null) part(row, key).value = item;
    };
    set("name", name);
    row.dataset.name = name;
    choose(part(row, "type"), String(entry.type ?? ""));
    if (entry.scale) choose(part(row, "scale"), String(entry.scale));
    for (const key of ["min", "max", "step"]) set(key, entry[key]);
    if (entry.values !== undefined) set("values", [entry.values].flat().map(shown).join(", "));
    for (const key of ["value", "default"]) if (entry[key] !== undefined && entry[key] !== null) set(key, shown(entry[key]));
    const [[parent, wanted] = ["", []], ...more] = Object.entries(isMap(entry.when) ? entry.when : {});
    row.dataset.parent = parent;
    set("when", [wanted].flat().map(shown).join(", "));
    // Further parents cannot be changed here, nor can what no parameter has: both are kept.
    row.dataset.more = JSON.stringify(Object.fromEntries(more));
    row.dataset.rest = JSON.stringify(Object.fromEntries(Object.entries(entry).filter(([key]) => !EVERY.has(key))));
    return row;
  }

  fill(space) {
    if (JSON.stringify(space) === JSON.stringify(this.read()) && this.rows.length === Object.keys(space).length) return;
    this.box.replaceChildren();
    for (const [name, entry] of Object.entries(space)) this.add(name, entry);
    this.arrange();
  }

  // The rows as they stand, finished or not.
  capture() {
    return this.rows.map((row) => ({
      fields: Object.fromEntries([...row.querySelectorAll("[data-key]")].map((input) => [input.dataset.key, input.value])),
      more: row.dataset.more,
      rest: row.dataset.rest,
    }));
  }

  restore(rows) {
    this.box.replaceChildren();
    for (const { fields, more, rest } of rows) {
      const row = this.make();
      for (const input of row.querySelectorAll("[data-key]")) {
        const item = fields[input.dataset.key] ?? "";
        if (input.dataset.key === "parent") row.dataset.parent = item;
        else if (input.tagName === "SELECT") choose(input, item);
        else input.value = item;
      }
      row.dataset.name = fields.name.trim();
      if (more) row.dataset.more = more;
      if (rest) row.dataset.rest = rest;
    }
    this.arrange();
  }

  read() {
    const space = {};
    for (const row of this.rows) {
      const name = text(row, "name");
      if (!name || name in space) continue;
      const entry = { type: text(row, "type") };
      for (const key of KEYS[entry.type] || []) {
        const given = text(row, key);
        if (given === "" || (key === "scale" && given === "linear")) continue;
        entry[key] = key === "values" ? values(given) : key === "scale" ? given : value(given);
      }
      const parent = text(row, "parent");
      const when = { ...(parent ? { [parent]: values(text(row, "when")) } : {}), ...kept(row, "more") };
      if (Object.keys(when).length) entry.when = when;
      space[name] = { ...entry, ...kept(row, "rest") };
    }
    return space;
  }

  // What the service cannot tell, since it is not sent: {field, message, remedy, input, open}; `open`: not filled in yet.
  problems() {
    const found = [];
    const seen = new Set();
    for (const row of this.rows) {
      const name = text(row, "name");
      const add = (key, message, remedy, open = false) => found.push({ field: `space.${name}.${key}`, message, remedy, open, input: part(row, key) });
      if (!name) add("name", "is missing.", "Name the parameter as your program calls it, or remove it.", true);
      else if (seen.has(name)) add("name", `${name} is there already.`, "Give each parameter a name of its own.");
      seen.add(name);
      const type = text(row, "type");
      if (type !== "float" && type !== "int") continue;
      for (const key of ["min", "max", "step", "default"]) {
        const problem = text(row, key) && numberProblem(text(row, key));
        if (problem) add(key, problem.message, problem.remedy);
      }
    }
    return found;
  }

  // Conditions follow the parameter that they are about to its new name.
  rename(row) {
    const before = row.dataset.name || "";
    const name = text(row, "name");
    row.dataset.name = name;
    if (!before || this.rows.some((other) => other !== row && other.dataset.name === before)) return;
    for (const other of this.rows) {
      if (text(other, "parent") === before) other.dataset.parent = name || before;
      const more = kept(other, "more");
      if (name && before in more) other.dataset.more = JSON.stringify(Object.fromEntries(Object.entries(more).map(([key, item]) => [key === before ? name : key, item])));
    }
    if (!name) row.dataset.name = before; // it is being written anew
  }

  // Shows the fields that a row's kind has, offers the other parameters as parents, names what errors are about.
  // With `touched` only what a change of that row can change.
  arrange(touched = null) {
    const rows = this.rows;
    const names = rows.map((row) => text(row, "name"));
    const key = JSON.stringify(names);
    const renamed = key !== this.names;
    this.names = key;
    rows.forEach((row, i) => {
      if (touched && !renamed && row !== touched && text(row, "parent") !== text(touched, "name")) return;
      const type = text(row, "type");
      for (const label of row.querySelectorAll("[data-for]")) label.hidden = !label.dataset.for.split(" ").includes(type);
      part(row, "scale").querySelector('[value="pow2"]').disabled = type !== "int";
      if (renamed || row.dataset.parent !== undefined) offerParents(row, names, i);
      this.#tellConditions(row, rows[names.indexOf(text(row, "parent"))]);
      if (renamed || !touched) nameFields(row, names[i], i);
      else part(row, "when").dataset.field = `space.${names[i]}.when.${text(row, "parent")}`;
    });
    const none = this.box.querySelector(".none");
    if (rows.length) none?.remove();
    else if (!none) this.box.append(element('<p class="muted none">No parameter yet: add what your program is given, such as its learning rate.</p>'));
  }

  #tellConditions(row, parent) {
    const when = part(row, "when");
    when.closest("label").hidden = !text(row, "parent");
    when.placeholder = parent && text(parent, "type") === "bool" ? "true" : parent ? text(parent, "values") : "";
    const more = Object.entries(kept(row, "more")).map(([name, wanted]) => `${name} is one of ${[wanted].flat().map(shown).join(", ")}`);
    const note = row.querySelector("[data-more]");
    note.hidden = !more.length;
    note.textContent = more.length ? `And only when ${more.join(", and ")}. Change that in the job file.` : "";
  }
}

function offerParents(row, names, own) {
  const select = part(row, "parent");
  const chosen = row.dataset.parent ?? select.value;
  delete row.dataset.parent;
  const wanted = ["", ...new Set(names.filter((name, i) => name && i !== own))];
  // One that there is not (any more) stays, so that the service may say so: nothing vanishes by itself.
  if (!wanted.includes(chosen)) wanted.push(chosen);
  // One by one: with 60 parameters there are 3,600 of them, and one has changed.
  const { options } = select;
  wanted.forEach((name, i) => {
    if (!options[i]) select.add(new Option(name || "always", name));
    else if (options[i].value !== name) Object.assign(options[i], { value: name, text: name || "always" });
  });
  options.length = wanted.length;
  if (select.value !== chosen) select.value = chosen;
}

function nameFields(row, name, i) {
  const called = name || `number ${i + 1}`;
  row.setAttribute("aria-label", `Parameter ${called}`);
  row.querySelector("[data-remove]").setAttribute("aria-label", `Remove parameter ${called}`);
  const place = `space.${name}`;
  for (const input of row.querySelectorAll("[data-key]")) {
    const { key } = input.dataset;
    input.dataset.field = key === "name" ? place : key === "parent" ? `${place}.when` : key === "when" ? `${place}.when.${text(row, "parent")}` : `${place}.${key}`;
  }
}
