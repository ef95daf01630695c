// What is wrong, each beside its field; what was not filled in yet is only named below until somebody wants to start.
import { element, escaped } from "./core.js";

// Not all that a message begins with is a word of ours: names keep their letters.
const sentence = ({ message, remedy }) => `${message.replace(/^(is|are|must|has|holds|needs|there|the|a|an|no|min|max)\b/, (word) => word[0].toUpperCase() + word.slice(1))} ${remedy || ""}`.trim();
const MULTILINE = /^(points|constraints|metric_constraints|stored_metrics|log_patterns|log_files|warm_start)\.(\d+)/;

// The input (or group) that a field's path is about; "" of it: what of the path it does not cover.
function placeOf(form, field) {
  const places = new Map();
  for (const item of form.querySelectorAll("[data-path], [data-field]")) {
    const path = item.dataset.path ?? item.dataset.field;
    if (path && !places.has(path) && !item.closest("[hidden]")) places.set(path, item);
  }
  for (let path = field; path; path = path.split(".").slice(0, -1).join(".")) if (places.has(path)) return places.get(path);
  return null;
}

const isEmpty = (place) => (place.matches("input, textarea, select") ? place.value.trim() === "" : !place.querySelector("[role=group]"));

function nameOf(place) {
  const label = place.closest("label");
  const group = place.closest("[role=group]")?.getAttribute("aria-label");
  const own = label ? label.firstChild.textContent.trim() : place.dataset.called || "";
  return group ? `${own} (${group})` : own;
}

export class Problems {
  // `rest` shows what has no field, `count` how much is wrong, `needed` what is not filled in yet.
  constructor(form, { rest, count, needed }) {
    this.form = form;
    this.parts = { rest, count, needed };
    this.shown = "";
  }

  // `eager`: what is not filled in is wrong, too.
  show(problems, eager) {
    const wrong = [];
    const open = new Set();
    for (const problem of problems) {
      const place = problem.input ?? placeOf(this.form, problem.field);
      const isOpen = !eager && (problem.open || (place && isEmpty(place)));
      if (isOpen) open.add(nameOf(place));
      else if (!wrong.some((other) => other.place === place && (other.problem.input || other.problem.message === problem.message) && place)) wrong.push({ problem, place });
    }
    const { rest, count, needed } = this.parts;
    const names = [...open].filter(Boolean);
    needed.textContent = names.length ? `Still needed: ${names.slice(0, 6).join(", ")}${names.length > 6 ? " and more" : ""}.` : "";
    count.textContent = wrong.length ? `${wrong.length} ${wrong.length === 1 ? "problem" : "problems"}` : "";
    this.#place(wrong, rest);
  }

  // Notes that say the same as before stay where they are, so that nothing moves or is read out again.
  #place(wrong, rest) {
    const marked = new Map();
    const loose = [];
    for (const { problem, place } of wrong) {
      const line = MULTILINE.exec(problem.field);
      const isOpen = place?.matches("input, textarea, select") && isEmpty(place) && problem.message === "is missing." && !problem.input;
      const text = isOpen ? (place.tagName === "SELECT" ? "Choose one." : "Fill this in.") : line && place?.tagName === "TEXTAREA" ? `Line ${Number(line[2]) + 1}: ${sentence(problem)}` : sentence(problem);
      if (place) marked.set(place, [...(marked.get(place) || []), text]);
      else loose.push(problem.field ? `${problem.field}: ${sentence(problem)}` : sentence(problem));
    }
    for (const note of this.form.querySelectorAll(".field-error.found")) {
      const place = note.place;
      if (marked.get(place)?.join("\n") === note.textContent) marked.delete(place);
      else {
        note.remove();
        place.removeAttribute("aria-invalid");
        place.removeAttribute("aria-describedby");
      }
    }
    for (const [place, texts] of marked) {
      const note = element('<span class="field-error found"></span>');
      note.place = place;
      note.id = `problem-${Math.random().toString(36).slice(2)}`;
      note.textContent = texts.join("\n");
      for (let box = place.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
      if (place.matches("input, select, textarea")) {
        place.setAttribute("aria-invalid", "true");
        place.setAttribute("aria-describedby", note.id);
        place.after(note);
      } else place.append(note);
    }
    rest.textContent = loose.join("\n");
    rest.hidden = !loose.length;
  }

  // To the first of them.
  focus() {
    const first = this.form.querySelector(".field-error.found");
    const place = first?.place ?? this.parts.rest;
    place.scrollIntoView({ block: "center" });
    const target = place.matches("input, select, textarea") ? place : place.parentElement.querySelector("button");
    target?.focus({ preventScroll: true });
  }
}

// Beside the text: each with its line, and a way there.
export function listed(problems) {
  return problems
    .map((each) => {
      const line = Number(each.line);
      const text = each.field === "yaml" ? sentence(each) : `${each.field}: ${each.message} ${each.remedy || ""}`;
      return `<p class="field-error">${line ? `<button type="button" class="quiet" data-line="${line}" data-column="${Number(each.column) || 1}">Line ${line}</button> ` : ""}${escaped(text)}</p>`;
    })
    .join("");
}

// To a place in the text.
export function jump(area, line, column) {
  const rows = area.value.split("\n");
  const before = rows.slice(0, line - 1).join("\n");
  const [start, length] = [line > 1 ? before.length + 1 : 0, rows[line - 1]?.length ?? 0];
  area.focus();
  area.setSelectionRange(start + Math.min(column - 1, length), start + length);
  area.scrollTop = heightOf(area, before) - area.clientHeight / 2;
}

// Of a part of the text, with its long lines wrapped as they are there.
function heightOf(area, text) {
  const like = area.cloneNode();
  like.removeAttribute("id");
  like.rows = 1;
  like.style.cssText = `position: absolute; visibility: hidden; min-height: 0; height: 0; width: ${area.offsetWidth}px`;
  like.value = text;
  area.after(like);
  const height = like.scrollHeight;
  like.remove();
  return height;
}
