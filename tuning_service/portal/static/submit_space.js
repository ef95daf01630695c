// The list of parameters, and values as people type them.

// `sgd`, `0.5`, `true` as text, number, boolean; "0.5" in quotes stays text.
export function value(text) {
  const clean = text.trim();
  const quoted = /^"(.*)"$|^'(.*)'$/s.exec(clean);
  if (quoted) return quoted[1] ?? quoted[2];
  if (clean === "true" || clean === "false") return clean === "true";
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(clean) ? Number(clean) : clean;
}

export function shown(item) {
  if (typeof item !== "string") return String(item);
  return typeof value(item) !== "string" || /[,"']|^\s|\s$/.test(item) ? JSON.stringify(item) : item;
}

export function values(text) {
  const parts = text.match(/"[^"]*"|'[^']*'|[^,]+/g) || [];
  return parts.map((part) => part.trim()).filter(Boolean).map(value);
}

const KEYS = {
  float: ["min", "max", "scale", "step", "default"],
  int: ["min", "max", "scale", "step", "default"],
  categorical: ["values", "default"],
  ordinal: ["values", "default"],
  bool: ["default"],
  fixed: ["value"],
};

export class Space {
  // `box` holds the rows; `changed()` is called whenever one of them was.
  constructor(box, template, changed) {
    this.box = box;
    this.template = template;
    this.changed = changed;
    box.addEventListener("input", () => {
      this.arrange();
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

  add(name = "", entry = { type: "float" }) {
    const row = this.template.content.firstElementChild.cloneNode(true);
    this.box.append(row);
    const set = (key, text) => {
      const input = row.querySelector(`[data-key="${key}"]`);
      if (input && text !== undefined && text !== null) input.value = text;
    };
    set("name", name);
    set("type", entry.type || "float");
    for (const key of ["min", "max", "step", "scale"]) set(key, entry[key]);
    if (entry.values) set("values", entry.values.map(shown).join(", "));
    if (entry.value !== undefined) set("value", shown(entry.value));
    if (entry.default !== undefined && entry.default !== null) set("default", shown(entry.default));
    const [[parent, wanted] = ["", []], ...more] = Object.entries(entry.when || {});
    row.dataset.parent = parent;
    // Further parents cannot be changed here; they are kept, and the job file beside shows them.
    row.dataset.more = JSON.stringify(Object.fromEntries(more));
    set("when", [wanted].flat().map(shown).join(", "));
    this.arrange();
    return row;
  }

  fill(space) {
    this.box.replaceChildren();
    for (const [name, entry] of Object.entries(space)) this.add(name, entry);
  }

  read() {
    const space = {};
    for (const row of this.rows) {
      const get = (key) => row.querySelector(`[data-key="${key}"]`).value.trim();
      const name = get("name");
      if (!name) continue;
      const entry = { type: get("type") };
      for (const key of KEYS[entry.type]) {
        const text = get(key);
        if (text === "" || (key === "scale" && text === "linear")) continue;
        entry[key] = key === "values" ? values(text) : key === "scale" ? text : value(text);
      }
      const parent = get("parent");
      const when = { ...(parent ? { [parent]: values(get("when")) } : {}), ...JSON.parse(row.dataset.more || "{}") };
      if (Object.keys(when).length) entry.when = when;
      space[name] = entry;
    }
    return space;
  }

  // Shows the fields that a row's kind has, offers the other parameters as parents, names what errors are about.
  arrange() {
    const rows = this.rows;
    const names = rows.map((row) => row.querySelector('[data-key="name"]').value.trim());
    rows.forEach((row, i) => {
      const type = row.querySelector('[data-key="type"]').value;
      for (const label of row.querySelectorAll("[data-for]")) label.hidden = !label.dataset.for.split(" ").includes(type);
      row.querySelector('[value="pow2"]').disabled = type !== "int";
      const parents = row.querySelector('[data-key="parent"]');
      const chosen = row.dataset.parent ?? parents.value;
      delete row.dataset.parent;
      const others = names.filter((name, k) => name && k !== i);
      parents.replaceChildren(new Option("always", ""), ...others.map((name) => new Option(`${name} …`, name)));
      parents.value = others.includes(chosen) ? chosen : "";
      row.querySelector("[data-when]").hidden = !parents.value;
      row.setAttribute("aria-label", `Parameter ${names[i] || i + 1}`);
      row.dataset.field = `space.${names[i]}`;
      for (const input of row.querySelectorAll("[data-key]")) {
        const key = input.dataset.key;
        input.dataset.field = key === "name" ? "" : key === "parent" ? `space.${names[i]}.when.${parents.value}` : `space.${names[i]}.${key}`;
      }
    });
  }
}
