// Pieces that several charts of a job share.
import { number } from "../core.js";

const kept = new WeakMap();

// What a reader has chosen in one chart, for as long as the page is open.
export function stateOf(figure, initial) {
  if (!kept.has(figure)) kept.set(figure, { ...initial });
  return kept.get(figure);
}

// A labelled choice: options are [value, label].
export function select(label, options, value, onChange) {
  const box = document.createElement("label");
  box.className = "pick";
  const input = document.createElement("select");
  for (const [each, text] of options) input.add(new Option(text, each));
  input.value = value;
  input.addEventListener("change", () => onChange(input.value));
  box.append(`${label} `, input);
  return box;
}

export function checkbox(label, checked, onChange) {
  const box = document.createElement("label");
  box.className = "pick";
  const input = document.createElement("input");
  input.type = "checkbox";
  input.checked = checked;
  input.addEventListener("change", () => onChange(input.checked));
  box.append(input, ` ${label}`);
  return box;
}

// The page of a trial, from the address of any page of its job.
export function trialAddress(trial) {
  return `/jobs/${location.pathname.split("/")[2]}/trials/${trial}`;
}

// A click on a point that carries a trial's number leads to that trial.
export function toTrials(box) {
  box.on("plotly_click", (event) => {
    const trial = event.points.find((point) => point.customdata !== undefined && point.customdata !== null)?.customdata;
    if (trial !== undefined) location.assign(trialAddress(Array.isArray(trial) ? trial[0] : trial));
  });
}

// An axis of plotly for a parameter as REST describes it: {name, kind, low, high | levels}.
export function axisFor(parameter, extra = {}) {
  if (parameter.kind !== "categorical") {
    const log = parameter.kind === "log";
    const marks = parameter.marks === "powers of 2" ? marksOf(parameter, 8) : null;
    const [low, high] = [parameter.low, parameter.high].map((value) => (log ? Math.log10(value) : value));
    const room = (high - low) * 0.03 || 0.5;
    return {
      title: { text: cut(parameter.name, 40) },
      type: log ? "log" : "linear",
      range: [low - room, high + room],
      exponentformat: "power",
      ...(log && high - low >= 2 ? { dtick: Math.ceil((high - low) / 6) } : {}),
      ...(parameter.marks === "whole" && !log && high - low <= 8 ? { dtick: 1 } : {}),
      ...(marks ? { tickvals: marks, ticktext: marks.map((value) => number(value)) } : {}),
      ...extra,
    };
  }
  const step = Math.max(1, Math.ceil(parameter.levels.length / 20));
  const places = parameter.levels.map((_, place) => place).filter((place) => place % step === 0);
  return {
    title: { text: cut(parameter.name, 40) },
    tickvals: places,
    ticktext: places.map((place) => plain(cut(String(parameter.levels[place]), 18))),
    range: [-0.5, parameter.levels.length - 0.5],
    ...extra,
  };
}

// Round values along a numeric parameter, about `most` of them, its ends among them.
export function marksOf({ kind, low, high, marks }, most) {
  if (low === high) return [low];
  const log = kind === "log";
  const base = marks === "powers of 2" ? 2 : 10;
  const of = (value) => (log ? Math.log(value) / Math.log(base) : value);
  const back = (place) => (log ? base ** place : place);
  const [from, to] = [of(low), of(high)];
  let step = roundStep((to - from) / most);
  // Between powers there is nothing round, and between whole numbers nothing at all.
  if (log || marks === "whole") step = Math.max(1, Math.round(step));
  // Over a few decades twos and fives are round enough.
  const factors = log && base === 10 && to - from < 3 ? [1, 2, 5] : [1];
  const first = Math.floor(from / step);
  const places = Array.from({ length: 2 * most + 2 }, (_, i) => (first + i) * step);
  const between = places.flatMap((place) => factors.map((factor) => factor * back(place)));
  const apart = (value, end) => Math.abs(of(value) - of(end)) > (to - from) / (2 * most);
  const inside = between.filter((value) => value > low && value < high && apart(value, low) && apart(value, high));
  return [low, ...inside, high].map((value) => Number(value.toPrecision(12)));
}

// 1, 2 or 5 times a power of ten, at least `least`.
export function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= least * 0.999999);
}

// A value of a parameter for people; categories come as places among their levels.
export function shown(parameter, value) {
  if (value === null || value === undefined) return "inactive";
  return parameter.kind === "categorical" ? String(parameter.levels[value]) : number(value);
}

export function cut(text, length) {
  const letters = [...text];
  return letters.length > length ? `${letters.slice(0, length - 1).join("")}…` : text;
}

// Plotly reads some HTML in texts: names are not to be taken for it.
export function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

// Spans of time as words.py writes them.
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  for (const [size, unit, small, part] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (whole >= size) {
      const rest = Math.floor((whole % size) / small);
      return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${part}` : ""}`;
    }
  }
  return `${whole} s`;
}

// A unit in which spans up to `most` seconds are read easily: [divisor, name].
export function timeUnit(most) {
  if (most > 3 * 86400) return [86400, "days"];
  if (most > 3 * 3600) return [3600, "hours"];
  if (most > 300) return [60, "minutes"];
  return [1, "seconds"];
}

// A canvas of `width` by `height` CSS pixels, sharp on any screen: [canvas, context].
export function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return [canvas, context];
}

// An element of an SVG.
export function make(name, attributes = {}, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  return node;
}

// Many points as one element: a shape of plotly's layout whose pieces have no length, with round ends (charts.js). Of
// markers each would be an element of its own, and a thousand take a tenth of a second.
export function dots(x, y, at, { size, ...style }) {
  const spots = at.filter((i) => typeof x[i] === "number" && typeof y[i] === "number").map((i) => `${x[i]},${y[i]}`);
  return { type: "path", path: spots.map((spot) => `M${spot}L${spot}`).join("") || "M0,0", layer: "between", ...style, line: { color: style.color, width: size } };
}

// What is told of such points, and where a click on them leads: a trace that draws nothing.
export function told(x, y, trials, text) {
  return { type: "scatter", mode: "none", showlegend: false, x, y, customdata: trials, text, hovertemplate: "%{text}<extra></extra>" };
}

// An entry of the legend for such points; its group shows and hides them.
export function entry(name, marker) {
  return { type: "scatter", mode: "markers", name, legendgroup: name, x: [null], y: [null], marker, hoverinfo: "skip" };
}

// Of an axis whose values are all the same: plotly would show from one below to one above, which is far for an accuracy.
export function around(values) {
  const numbers = values.filter((value) => typeof value === "number");
  const [first] = numbers;
  if (!numbers.length || numbers.some((value) => value !== first)) return {};
  const room = Math.abs(first) * 0.1 || 1;
  return { range: [first - room, first + room] };
}

// The colour at a place from 0 to 1 along a scale.
export function mixed(scale, at) {
  const next = scale.findIndex(([place]) => place >= at);
  if (next <= 0) return scale[0][1];
  const [[from, a], [to, b]] = [scale[next - 1], scale[next]];
  const share = (at - from) / (to - from);
  const part = (k) => Math.round(parseInt(a.slice(k, k + 2), 16) * (1 - share) + parseInt(b.slice(k, k + 2), 16) * share);
  return `rgb(${part(1)},${part(3)},${part(5)})`;
}

// Places of at most `most` of `count` points: those that `keep` wants first, the others evenly.
export function thinned(count, most, keep = () => false) {
  const all = Array.from({ length: count }, (_, i) => i);
  if (count <= most) return all;
  const wanted = all.filter(keep).slice(0, most);
  const chosen = new Set(wanted);
  const others = all.filter((i) => !chosen.has(i));
  const room = most - wanted.length;
  for (let k = 0; k < room; k += 1) chosen.add(others[Math.floor((k * others.length) / room)]);
  return all.filter((i) => chosen.has(i));
}

// The same, the best values first: half of what is drawn.
export function thinnedByValue(values, goal, most) {
  const sign = goal === "minimize" ? 1 : -1;
  if (values.length <= most) return thinned(values.length, most);
  const order = values.map((_, i) => i).filter((i) => typeof values[i] === "number").sort((a, b) => sign * (values[a] - values[b]));
  const best = new Set(order.slice(0, most / 2));
  return thinned(values.length, most, (i) => best.has(i));
}

// What is said of points that are not drawn.
export function left(shownCount, count) {
  return shownCount < count ? `${number(shownCount)} of them are drawn.` : "";
}

// Draws again when the chart's width has changed.
export function watchWidth(figure, redraw) {
  const box = figure.querySelector(".plot");
  let width = box.clientWidth;
  new ResizeObserver(() => {
    if (Math.abs(box.clientWidth - width) < 2) return;
    width = box.clientWidth;
    redraw();
  }).observe(box);
}
