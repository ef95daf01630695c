// A form for one configuration of a job's space: an input for each parameter, of its type and range; parameters that
// are inactive under the values of others are hidden, as the job file's `when` says.
import { element, number } from "./core.js";

// 1 and true are different values, 1 and 1.0 are one.
const same = (a, b) => a === b;

// {element, values()}: `space` as a job file writes it, `begin` the values to start from.
export function configurationForm(space, begin) {
  const box = element('<div class="configuration"></div>');
  const entries = Object.entries(space).map(([name, entry]) => {
    const field = fieldFor(name, entry, begin[name] ?? entry.default ?? middle(entry));
    box.append(field.label);
    return { name, entry, ...field };
  });
  const byName = new Map(entries.map((each) => [each.name, each]));

  function isActive(each, seen = new Set()) {
    if (seen.has(each.name)) return true;
    seen.add(each.name);
    return Object.entries(each.entry.when ?? {}).every(([parent, allowed]) => {
      const other = byName.get(parent);
      return other && isActive(other, seen) && allowed.some((value) => same(value, other.read()));
    });
  }

  function update() {
    for (const each of entries) each.label.hidden = !isActive(each);
  }

  box.addEventListener("input", update);
  update();
  return {
    element: box,
    values: () => Object.fromEntries(entries.filter((each) => isActive(each)).map((each) => [each.name, each.read()])),
  };
}

function middle(entry) {
  if (entry.type === "fixed") return entry.value;
  if (entry.type === "bool") return false;
  if (entry.values) return entry.values[entry.type === "ordinal" ? Math.floor(entry.values.length / 2) : 0];
  const log = entry.scale === "log" || entry.scale === "pow2";
  const value = log ? Math.sqrt(entry.min * entry.max) : (entry.min + entry.max) / 2;
  if (entry.scale === "pow2") return 2 ** Math.round(Math.log2(value));
  return entry.type === "int" ? Math.round(value) : value;
}

function hintFor(entry) {
  if (entry.type !== "float" && entry.type !== "int") return "";
  const scale = { log: ", log scale", pow2: ", powers of 2" }[entry.scale] ?? "";
  const step = entry.step === undefined || entry.step === null ? "" : `, step ${number(entry.step)}`;
  return `${entry.type === "int" ? "Whole number, " : ""}${number(entry.min)} to ${number(entry.max)}${scale}${step}`;
}

// {label, read()}. Names and values come from the job's author: they are set as text, never as HTML.
function fieldFor(name, entry, value) {
  const label = element('<label class="field"><span></span></label>');
  label.firstChild.textContent = name;
  const listed = entry.type === "bool" ? [false, true] : entry.values;
  if (listed) {
    const select = document.createElement("select");
    select.name = name;
    listed.forEach((option, place) => select.add(new Option(String(option), String(place))));
    const place = listed.findIndex((option) => same(option, value));
    select.value = String(Math.max(place, 0));
    label.append(select);
    return { label, read: () => listed[Number(select.value)] };
  }
  const input = document.createElement("input");
  input.name = name;
  input.autocomplete = "off";
  input.spellcheck = false;
  input.value = typeof value === "number" ? String(Number(value.toPrecision(12))) : String(value);
  label.append(input);
  if (entry.type === "fixed") {
    input.readOnly = true;
    label.append(element('<span class="hint">Fixed</span>'));
    return { label, read: () => entry.value };
  }
  input.inputMode = entry.type === "int" && entry.min >= 0 ? "numeric" : "text";
  const hint = element('<span class="hint"></span>');
  hint.textContent = hintFor(entry);
  label.append(hint);
  return {
    label,
    read: () => {
      const text = input.value.trim().replace("−", "-");
      return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
    },
  };
}
