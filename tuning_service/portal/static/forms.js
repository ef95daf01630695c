// Dialogs written as HTML. <button data-dialog="ID" data-title="…" data-yes="Create" data-method="POST" data-path="/v1/…"
//  [data-values='{"name": …}'] [data-done="…"] [data-then="/address"]> opens a dialog with the fields of <template id="ID">,
// filled with the values, and sends them as JSON. Fields say by data-type how they are read: text (the default; data-null:
// an empty one is null), number, integer and bytes (with a unit; empty: null), list (one a line or after a comma; empty: null; a dash: without any), json, bool.
// An input with data-path-part ends the path instead. After it, `portal:done` is dispatched on the button with what the service has answered.
// <form data-upload="/v1/…"> sends the one file of its file input.
import { api, ask, showProblems, toast } from "./core.js";

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];
const SIZE = /^(\d+(?:\.\d+)?) *(bytes|[KMGT]iB)?$/i;
const LIMITS = /^-?\d+(\.\d+)?(e[-+]?\d+)?$/i;

class FieldsWrong extends Error {
  constructor(errors) {
    super("Some fields cannot be read.");
    this.errors = errors;
  }
}

function read(input, errors) {
  const text = input.value.trim();
  const wrong = (message, remedy) => errors.push({ field: input.name, message, remedy });
  switch (input.dataset.type) {
    case "bool":
      return input.checked;
    case "number":
    case "integer":
      if (text === "") return null;
      if (!LIMITS.test(text) || (input.dataset.type === "integer" && !Number.isInteger(Number(text)))) {
        wrong(`${JSON.stringify(text)} is no ${input.dataset.type === "integer" ? "whole number" : "number"}.`, "Write digits, with a point for decimals.");
      }
      return Number(text);
    case "bytes": {
      if (text === "") return null;
      const [, count, unit] = SIZE.exec(text) || [];
      if (!count) {
        wrong(`${JSON.stringify(text)} is no size.`, "Write a number, and KiB, MiB, GiB or TiB after it.");
        return null;
      }
      return Math.round(count * 1024 ** Math.max(0, UNITS.findIndex((name) => name.toLowerCase() === (unit || "bytes").toLowerCase())));
    }
    case "list":
      if (text === "-") return []; // not what an empty field is: null
      return text === "" ? null : text.split(/[,\n]/).map((item) => item.trim()).filter(Boolean);
    case "json":
      try {
        return text === "" ? {} : JSON.parse(text);
      } catch (error) {
        wrong(`is not JSON: ${error.message}`, 'Write it as {"name": "value"}.');
        return null;
      }
    default:
      return text === "" && "null" in input.dataset ? null : input.type === "password" ? input.value : text;
  }
}

// What a form holds, as REST takes it. Throws what showProblems shows.
function readForm(form) {
  const errors = [];
  const body = {};
  for (const input of form.querySelectorAll("[name]")) {
    const value = read(input, errors);
    if (value !== undefined && !("leaveout" in input.dataset && (value === null || value === ""))) body[input.name] = value;
  }
  if (errors.length) throw new FieldsWrong(errors);
  return body;
}

function write(input, value) {
  if (input.dataset.type === "bool") input.checked = Boolean(value);
  else if (input.dataset.type === "bytes") input.value = bytes(value);
  else if (input.dataset.type === "list") input.value = value?.length === 0 ? "-" : (value || []).join(", ");
  else if (input.dataset.type === "json") input.value = JSON.stringify(value ?? {}, null, 1);
  else input.value = value ?? "";
}

// Exactly that size, in the largest unit that divides it.
function bytes(value) {
  if (value === null || value === undefined) return "";
  let unit = 0;
  while (value > 0 && unit < UNITS.length - 1 && value % 1024 === 0) {
    value /= 1024;
    unit += 1;
  }
  return `${value} ${UNITS[unit]}`;
}

async function open(button) {
  const { dialog, title, yes, method, path, values, done, then } = button.dataset;
  const template = document.getElementById(dialog);
  const asked = ask(title || button.textContent.trim(), template.innerHTML, {
    yes: yes || "Save",
    act: async (_data, box) => {
      const form = box.querySelector("form");
      const body = readForm(form);
      let target = path;
      for (const input of form.querySelectorAll("[data-path-part]")) {
        if (!body[input.name]) throw new FieldsWrong([{ field: input.name, message: "is empty.", remedy: "Fill it in." }]);
        // No address can have one there, however it is written.
        if (body[input.name].includes("/")) throw new FieldsWrong([{ field: input.name, message: "holds a slash.", remedy: "Leave it out." }]);
        target += encodeURIComponent(body[input.name]);
        delete body[input.name];
      }
      return api(method, target, body);
    },
  });
  const form = [...document.querySelectorAll("dialog[open] form")].at(-1);
  for (const [name, value] of Object.entries(JSON.parse(values || "{}"))) {
    const input = form.elements.namedItem(name);
    if (input) write(input, value);
  }
  const answer = await asked;
  if (answer === null) return;
  if (done) toast([done, answer?.note].filter(Boolean).join(" "));
  button.dispatchEvent(new CustomEvent("portal:done", { bubbles: true, detail: answer }));
  if (then) location.assign(then);
  else document.dispatchEvent(new Event("portal:refresh"));
}

async function upload(form) {
  const button = form.querySelector('[type="submit"]');
  const file = form.querySelector('input[type="file"]');
  if (!file.files.length) {
    showProblems(form, { message: "", errors: [{ field: file.name, message: "is empty.", remedy: "Choose a file." }] });
    return;
  }
  button.disabled = true;
  try {
    const body = new FormData(form);
    const answer = await api("POST", form.dataset.upload, body);
    form.reset();
    showProblems(form, { message: "", errors: [] });
    toast(form.dataset.done || "Uploaded.");
    form.dispatchEvent(new CustomEvent("portal:done", { bubbles: true, detail: answer }));
    document.dispatchEvent(new Event("portal:refresh"));
  } catch (problem) {
    // What is wrong inside of the file is said beside it.
    const beside = (field) => form.elements.namedItem(field)?.checkVisibility();
    const errors = (problem.errors || []).map((error) => (beside(error.field) ? error : { ...error, field: file.name, message: `In ${error.field}: ${error.message}` }));
    showProblems(form, { message: problem.message, errors });
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-dialog]");
  if (button) open(button);
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-upload]")) return;
  event.preventDefault();
  upload(event.target);
});
