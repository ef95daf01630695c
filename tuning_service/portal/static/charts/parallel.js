// Parallel coordinates: a canvas for the lines, however many, and above it an SVG with an axis for each parameter and the
// objective. Dragging along an axis keeps the trials that pass there; they are listed below.
import { element, number } from "../core.js";
import { canvasOf, cut, make, marksOf, mixed, shown, stateOf, trialAddress, watchWidth } from "./common.js";

const TOP = 44;
const BOTTOM = 36;
const ASIDE = 18; // from the bottom: where lines pass that have no place on an axis
const LISTED = 12;
const ROOM = 92; // of one axis, in pixels: more of them scroll
const KEY_STEP = 0.05;
const MARKS = 6; // along an axis

const of = (figure) => stateOf(figure, { brushes: {}, objective: null, watched: false });

export const withoutPlotly = true;

export function draw(data, { colours: c, figure, redraw }) {
  if (!data.number.length) return null;
  const state = of(figure);
  const plot = figure.querySelector(".plot");
  plot.setAttribute("role", "group");
  if (!state.watched) {
    state.watched = true;
    watchWidth(figure, redraw);
  }
  const axes = axesOf(data);
  for (const name of Object.keys(state.brushes)) if (!axes.some((axis) => axis.name === name)) delete state.brushes[name];
  const width = Math.max(plot.clientWidth - 2, ROOM * axes.length);
  const height = 400;
  const stage = element('<div class="parallel"><div class="scroll"><div class="stage"></div></div><div class="brushed"></div></div>');
  const [canvas, context] = canvasOf(width, height);
  canvas.setAttribute("aria-hidden", "true");
  const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
  const holder = stage.querySelector(".stage");
  holder.style.width = `${width}px`;
  holder.style.height = `${height}px`;
  holder.append(canvas, svg);
  const gap = axes.length > 1 ? (width - ROOM) / (axes.length - 1) : 0;
  axes.forEach((axis, i) => {
    axis.x = ROOM / 2 + i * gap;
  });
  const scene = { data, axes, state, context, width, height, c, below: stage.querySelector(".brushed") };
  scene.dark = getComputedStyle(document.documentElement).colorScheme === "dark";
  scene.colours = coloursOf(data, c);
  for (const axis of axes) svg.append(axisElement(axis, scene, Math.max(70, gap || width)));
  paint(scene);
  return stage;
}

function axesOf(data) {
  const rows = data.number.length;
  const axes = data.parameters.map((parameter) => {
    const place = placing(parameter);
    const at = new Float32Array(rows);
    parameter.values.forEach((value, i) => {
      at[i] = value === null ? -1 : place(value);
    });
    return { name: parameter.name, parameter, at, ticks: ticksOf(parameter, place), text: (i) => shown(parameter, parameter.values[i]) };
  });
  for (const objective of data.objectives) {
    const numbers = objective.values.filter((value) => typeof value === "number");
    if (!numbers.length) continue;
    const low = numbers.reduce((a, b) => Math.min(a, b));
    const high = numbers.reduce((a, b) => Math.max(a, b));
    const parameter = { name: objective.name, kind: "linear", low, high };
    const place = placing(parameter);
    const at = Float32Array.from(objective.values, (value) => (typeof value === "number" ? place(value) : -1));
    axes.push({ name: objective.name, parameter, at, goal: objective.goal, ticks: ticksOf(parameter, place), text: (i) => number(objective.values[i]) });
  }
  return axes;
}

// From a value to a place between 0 and 1.
function placing({ kind, low, high, levels }) {
  if (kind === "categorical") return (value) => (levels.length > 1 ? value / (levels.length - 1) : 0.5);
  if (low === high) return () => 0.5;
  if (kind === "log") return (value) => Math.min(1, Math.max(0, Math.log(value / low) / Math.log(high / low)));
  return (value) => Math.min(1, Math.max(0, (value / 2 - low / 2) / (high / 2 - low / 2)));
}

function ticksOf(parameter, place) {
  if (parameter.kind === "categorical") {
    const step = Math.max(1, Math.ceil(parameter.levels.length / 12));
    return parameter.levels.map((level, i) => [place(i), String(level)]).filter((_, i) => i % step === 0);
  }
  return marksOf(parameter, MARKS).map((value) => [place(value), number(value, 3)]);
}

// Sixteen steps from the worst to the best: lines of one colour are drawn in one go.
const STEPS = 16;

function coloursOf(data, c) {
  const objective = data.objectives[0];
  const sign = objective.goal === "minimize" ? -1 : 1;
  const order = data.number.map((_, i) => i).filter((i) => typeof objective.values[i] === "number");
  order.sort((a, b) => sign * (objective.values[a] - objective.values[b]));
  const steps = new Int8Array(data.number.length).fill(-1);
  order.forEach((i, rank) => {
    steps[i] = Math.ceil(((rank + 1) * STEPS) / order.length) - 1; // the best has the last, however few there are
  });
  const shades = Array.from({ length: STEPS }, (_, i) => mixed(c.scale, i / (STEPS - 1)));
  return { steps, shades };
}

const yOf = (scene, place) => (place < 0 ? scene.height - ASIDE : TOP + (1 - place) * (scene.height - TOP - BOTTOM));

function passes(scene) {
  const wanted = scene.axes.filter((axis) => scene.state.brushes[axis.name]);
  const rows = scene.data.number.length;
  const kept = new Uint8Array(rows).fill(1);
  for (const axis of wanted) {
    const [low, high] = scene.state.brushes[axis.name];
    for (let i = 0; i < rows; i += 1) if (!(axis.at[i] >= low && axis.at[i] <= high)) kept[i] = 0;
  }
  return [kept, wanted.length > 0];
}

function paint(scene) {
  const { context, data, axes, c, colours: { steps, shades } } = scene;
  const [kept, brushed] = passes(scene);
  const rows = data.number.length;
  context.clearRect(0, 0, scene.width, scene.height);
  const stroke = (style, alpha, line, want) => {
    context.strokeStyle = style;
    context.globalAlpha = alpha;
    context.lineWidth = line;
    context.beginPath();
    for (let i = 0; i < rows; i += 1) {
      if (!want(i)) continue;
      for (let k = 0; k < axes.length; k += 1) {
        const y = yOf(scene, axes[k].at[i]);
        if (k) context.lineTo(axes[k].x, y);
        else context.moveTo(axes[k].x, y);
      }
    }
    context.stroke();
  };
  if (brushed) stroke(c.line, rows > 500 ? 0.25 : 0.6, 1, (i) => !kept[i]);
  const shownRows = kept.reduce((sum, each) => sum + each, 0);
  const alpha = Math.max(0.18, Math.min(0.85, 120 / Math.max(shownRows, 1)));
  stroke(c.bad, alpha, 1, (i) => kept[i] && steps[i] < 0);
  // The best last, so that they are on top.
  for (let step = 0; step < STEPS; step += 1) {
    const best = step === STEPS - 1;
    stroke(shades[step], best ? Math.max(alpha, 0.7) : alpha, best ? 1.8 : 1.1, (i) => kept[i] && steps[i] === step);
  }
  context.globalAlpha = 1;
  list(scene, kept, brushed, shownRows);
}

function list(scene, kept, brushed, count) {
  const { data, below, state } = scene;
  const objective = data.objectives[0];
  const sign = objective.goal === "minimize" ? 1 : -1;
  const value = (i) => (typeof objective.values[i] === "number" ? sign * objective.values[i] : Infinity);
  const best = data.number.map((_, i) => i).filter((i) => kept[i]).sort((a, b) => value(a) - value(b)).slice(0, LISTED);
  below.replaceChildren();
  const head = element('<p class="buttons"><span role="status"></span></p>');
  head.firstChild.textContent = brushed
    ? `${number(count)} of ${number(data.number.length)} trials pass${count === 1 ? "es" : ""}${count ? ":" : ". Widen a range."}`
    : `Drag along an axis to keep the trials that pass there. The ${scene.dark ? "brighter" : "darker"} a line, the better the trial${scene.colours.steps.includes(-1) ? "; red ones have no value" : ""}.`;
  if (brushed) {
    const reset = element('<button type="button">Show all trials again</button>');
    reset.addEventListener("click", () => {
      state.brushes = {};
      for (const axis of scene.axes) showBrush(axis, scene);
      paint(scene);
    });
    head.append(reset);
  }
  below.append(head);
  if (!brushed || !best.length) return;
  const table = element('<div class="scroll" tabindex="0" role="region" aria-label="Trials that pass"><table><thead><tr><th scope="col">Trial</th></tr></thead><tbody></tbody></table></div>');
  for (const axis of [...scene.axes].reverse()) {
    const th = element('<th scope="col" class="num"></th>');
    th.textContent = axis.name;
    table.querySelector("tr").append(th);
  }
  for (const i of best) {
    const row = element("<table><tbody><tr><td><a></a></td></tr></tbody></table>").querySelector("tr");
    const link = row.querySelector("a");
    link.href = trialAddress(data.number[i]);
    link.textContent = data.number[i];
    for (const axis of [...scene.axes].reverse()) {
      const td = element('<table><tbody><tr><td class="num"></td></tr></tbody></table>').querySelector("td");
      td.textContent = axis.text(i);
      row.append(td);
    }
    table.querySelector("tbody").append(row);
  }
  below.append(table);
  if (count > best.length) {
    const more = element('<p class="muted"></p>');
    more.textContent = `The best ${best.length} of them are listed.`;
    below.append(more);
  }
}

function axisElement(axis, scene, room) {
  const { c, height } = scene;
  const bottom = height - BOTTOM;
  const letters = Math.max(7, Math.floor(room / 7.5));
  const group = make("g", {
    transform: `translate(${axis.x},0)`,
    tabindex: 0,
    role: "slider",
    "aria-label": `Range of ${axis.name}: arrow keys move its upper end, with shift its lower end; Escape shows all`,
    "aria-valuemin": 0,
    "aria-valuemax": 100,
    "aria-orientation": "vertical",
    class: "axis",
  });
  group.append(make("title", {}, axis.name));
  group.append(make("text", { y: 16, "text-anchor": "middle", fill: c.text, "font-weight": 600 }, cut(axis.name, letters)));
  if (axis.goal) group.append(make("text", { y: 31, "text-anchor": "middle", fill: c.muted, "font-size": 11 }, axis.goal === "minimize" ? "less is better" : "more is better"));
  group.append(make("line", { y1: TOP, y2: bottom, stroke: c.text, "stroke-opacity": 0.55 }));
  for (const [place, text] of axis.ticks) {
    const y = yOf(scene, place);
    group.append(make("line", { x1: -4, x2: 4, y1: y, y2: y, stroke: c.text, "stroke-opacity": 0.55 }));
    const label = make("text", { x: 7, y: y + 4, fill: c.text, class: "tick" }, cut(text, Math.max(5, Math.floor((room - 14) / 7))));
    label.append(make("title", {}, text));
    group.append(label);
  }
  if (axis.at.some((place) => place < 0)) group.append(make("text", { y: height - 3, "text-anchor": "middle", fill: c.muted, "font-size": 11 }, axis.goal ? "none" : "inactive"));
  axis.brush = make("rect", { x: -9, width: 18, rx: 3, fill: c.accent, "fill-opacity": 0.3, stroke: c.accent });
  group.append(axis.brush, make("rect", { x: -16, y: TOP - 6, width: 32, height: bottom - TOP + 12, fill: "transparent", class: "grip" }));
  showBrush(axis, scene, group);
  axis.group = group;
  drags(axis, scene, group);
  keys(axis, scene, group);
  return group;
}

function showBrush(axis, scene, group = axis.group) {
  const range = scene.state.brushes[axis.name];
  const [low, high] = range ?? [0, 1];
  axis.brush.setAttribute("visibility", range ? "visible" : "hidden");
  axis.brush.setAttribute("y", yOf(scene, high));
  axis.brush.setAttribute("height", Math.max(2, yOf(scene, low) - yOf(scene, high)));
  group.setAttribute("aria-valuenow", Math.round(100 * high));
  group.setAttribute("aria-valuetext", range ? `${Math.round(100 * low)} to ${Math.round(100 * high)} percent of the axis` : "all");
}

function drags(axis, scene, group) {
  const placeAt = (event) => {
    const box = group.ownerSVGElement.getBoundingClientRect();
    return Math.min(1, Math.max(0, 1 - (event.clientY - box.top - TOP) / (scene.height - TOP - BOTTOM)));
  };
  group.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const from = placeAt(event);
    let due = false;
    const move = (moved) => {
      const to = placeAt(moved);
      // A hair's breadth around categories, whose lines all pass at one place.
      scene.state.brushes[axis.name] = [Math.min(from, to) - 0.004, Math.max(from, to) + 0.004];
      if (due) return;
      due = true;
      requestAnimationFrame(() => {
        due = false;
        showBrush(axis, scene);
        paint(scene);
      });
    };
    const end = (last) => {
      group.removeEventListener("pointermove", move);
      if (Math.abs(placeAt(last) - from) >= 0.01) return;
      delete scene.state.brushes[axis.name];
      requestAnimationFrame(() => {
        showBrush(axis, scene);
        paint(scene);
      });
    };
    group.setPointerCapture(event.pointerId);
    group.addEventListener("pointermove", move);
    group.addEventListener("pointerup", end, { once: true });
    group.addEventListener("pointercancel", end, { once: true });
  });
}

function keys(axis, scene, group) {
  group.addEventListener("keydown", (event) => {
    const step = { ArrowUp: KEY_STEP, ArrowRight: KEY_STEP, ArrowDown: -KEY_STEP, ArrowLeft: -KEY_STEP }[event.key];
    if (event.key === "Escape") delete scene.state.brushes[axis.name];
    else if (step) {
      let [low, high] = scene.state.brushes[axis.name] ?? [0, 1];
      if (event.shiftKey) low = Math.min(high, Math.max(0, low + step));
      else high = Math.max(low, Math.min(1, high + step));
      scene.state.brushes[axis.name] = [low, high];
    } else return;
    event.preventDefault();
    showBrush(axis, scene);
    paint(scene);
  });
}
