// Who ran where and when: a row for each host or GPU, a bar for each execution, on a canvas, however many.
import { element, number } from "../core.js";
import { canvasOf, cut, duration, make, roundStep, stateOf, timeUnit, trialAddress, watchWidth } from "./common.js";

const ROW = 20;
const TOP = 6;
const AXIS = 34;
const MOST_ROWS = 200;
const NAMES = { claimed: "running", succeeded: "succeeded", failed: "failed", stopped: "stopped", lost: "lost" };

export const withoutPlotly = true;

export function draw(data, { colours: c, figure, redraw }) {
  const count = data.columns.trial.length;
  if (!count) return null;
  const state = stateOf(figure, { watched: false });
  const plot = figure.querySelector(".plot");
  plot.setAttribute("role", "group");
  figure.classList.add("low"); // as tall as it has rows
  if (!state.watched) {
    state.watched = true;
    watchWidth(figure, redraw);
  }
  const all = lanesOf(data);
  const lanes = all.slice(0, MOST_ROWS);
  const left = Math.min(150, Math.max(60, plot.clientWidth * 0.22));
  const width = Math.max(280, plot.clientWidth);
  const height = TOP + lanes.length * ROW + AXIS;
  const box = element('<div class="slots"><ul class="legend"></ul><div class="stage"></div><p class="tip" role="status"></p></div>');
  const [canvas, context] = canvasOf(width, height);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", told(data, all));
  // Texts stand in an SVG above the bars.
  const texts = make("svg", { width, height, "aria-hidden": "true" });
  box.querySelector(".stage").append(canvas, texts);
  const end = data.columns.end.reduce((most, each) => Math.max(most, each ?? data.now), 1);
  const scene = { data, lanes, texts, left, width, height, c, context, end, shades: shadesOf(c) };
  paint(scene);
  legend(box.querySelector(".legend"), data, scene.shades);
  hover(canvas, box.querySelector(".tip"), scene);
  if (all.length > lanes.length) {
    const more = element('<p class="muted"></p>');
    more.textContent = `${number(all.length - lanes.length)} further rows are left out.`;
    box.append(more);
  }
  return box;
}

function shadesOf(c) {
  return { claimed: c.sky, succeeded: c.green, failed: c.orange, stopped: c.grey, lost: c.pink };
}

// One row for each GPU of a host that is named, else as many for the host as it has run at once.
function lanesOf(data) {
  const { columns } = data;
  const hosts = new Map();
  const order = columns.trial.map((_, i) => i).sort((a, b) => columns.start[a] - columns.start[b]);
  for (const i of order) {
    const host = data.hosts[columns.host[i]] || "unknown";
    const set = data.gpu_sets[columns.gpus[i]] ?? [];
    const gpus = set.length ? set : [""];
    for (const gpu of gpus) {
      const key = `${host} ${gpu}`;
      if (!hosts.has(key)) hosts.set(key, { host, gpu, lanes: [] });
      const { lanes } = hosts.get(key);
      const free = lanes.find((lane) => lane.until <= columns.start[i] + 0.005);
      const lane = free ?? { host, gpu, items: [], until: 0 };
      if (!free) lanes.push(lane);
      lane.items.push(i);
      lane.until = columns.end[i] ?? Infinity;
    }
  }
  const sorted = [...hosts.values()].sort((a, b) => `${a.host} ${a.gpu}`.localeCompare(`${b.host} ${b.gpu}`, "en", { numeric: true }));
  return sorted.flatMap(({ host, gpu, lanes }) =>
    lanes.map((lane, place) => ({ ...lane, label: place === 0 ? `${host}${gpu === "" ? "" : ` GPU ${gpu}`}` : "" })),
  );
}

function told(data, lanes) {
  const hosts = new Set(data.columns.host).size;
  return `${number(data.columns.trial.length)} executions on ${number(hosts)} ${hosts === 1 ? "host" : "hosts"}, ${number(lanes.length)} at once at most.`;
}

const xOf = (scene, seconds) => scene.left + (Math.max(0, seconds) / scene.end) * (scene.width - scene.left - 8);

function paint(scene) {
  const { context, data, lanes, c, width, left, height, texts } = scene;
  const { columns } = data;
  const bottom = TOP + lanes.length * ROW;
  grid(scene, bottom);
  lanes.forEach((lane, row) => {
    const y = TOP + row * ROW;
    if (lane.label) {
      context.strokeStyle = c.line;
      context.beginPath();
      context.moveTo(0, y + 0.5);
      context.lineTo(width, y + 0.5);
      context.stroke();
      const label = make("text", { x: 2, y: y + ROW / 2 + 5, fill: c.text }, cut(lane.label, Math.floor((left - 8) / 6.8)));
      label.append(make("title", {}, lane.label));
      texts.append(label);
    }
    for (const i of lane.items) {
      const x = xOf(scene, columns.start[i]);
      const wide = Math.max(1, xOf(scene, columns.end[i] ?? data.now) - x);
      const status = data.statuses[columns.status[i]];
      context.fillStyle = scene.shades[status] ?? c.grey;
      context.fillRect(x, y + 3, wide > 3 ? wide - 1 : wide, ROW - 5);
      if (wide > 5 && (status === "failed" || status === "lost")) cross(context, x, y + 3, wide - 1, ROW - 5, c.card);
    }
  });
  context.strokeStyle = c.line;
  context.beginPath();
  context.moveTo(left, bottom + 0.5);
  context.lineTo(width, bottom + 0.5);
  context.stroke();
  texts.append(make("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle", fill: c.muted }, `Time since the start, ${timeUnit(scene.end)[1]}`));
}

// So that colour alone does not tell a failure.
function cross(context, x, y, width, height, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(x + 2, y + 2);
  context.lineTo(x + Math.min(width, height) - 1, y + height - 2);
  context.moveTo(x + Math.min(width, height) - 1, y + 2);
  context.lineTo(x + 2, y + height - 2);
  context.stroke();
  context.lineWidth = 1;
}

function grid(scene, bottom) {
  const { context, c, end, width, left, texts } = scene;
  const [unit] = timeUnit(end);
  const step = roundStep(end / unit / Math.max(2, Math.floor((width - left) / 90)));
  for (let value = 0; value <= (end / unit) * 1.0001; value += step) {
    const x = Math.round(xOf(scene, value * unit)) + 0.5;
    context.strokeStyle = c.line;
    context.beginPath();
    context.moveTo(x, TOP);
    context.lineTo(x, bottom);
    context.stroke();
    texts.append(make("text", { x, y: bottom + 15, "text-anchor": "middle", fill: c.muted }, number(Number(value.toPrecision(6)))));
  }
}

function legend(list, data, shades) {
  for (const status of data.statuses) {
    const item = element("<li><span></span></li>");
    item.firstChild.style.background = shades[status] ?? "";
    if (status === "failed" || status === "lost") item.firstChild.textContent = "×";
    item.append(NAMES[status] ?? status);
    list.append(item);
  }
}

function hover(canvas, tip, scene) {
  const { data, lanes } = scene;
  const { columns } = data;
  tip.textContent = "Point at a bar to see its trial; click to open it.";
  const found = (event) => {
    const box = canvas.getBoundingClientRect();
    const lane = lanes[Math.floor((event.clientY - box.top - TOP) / ROW)];
    const x = event.clientX - box.left;
    return lane?.items.findLast((i) => {
      const from = xOf(scene, columns.start[i]);
      return x >= from - 1 && x <= Math.max(from + 3, xOf(scene, columns.end[i] ?? data.now));
    });
  };
  canvas.addEventListener("pointermove", (event) => {
    const i = found(event);
    canvas.style.cursor = i === undefined ? "" : "pointer";
    if (i === undefined) return;
    const gpus = data.gpu_sets[columns.gpus[i]] ?? [];
    const status = data.statuses[columns.status[i]];
    const took = (columns.end[i] ?? data.now) - columns.start[i];
    const again = columns.task[i] ? `, execution ${columns.task[i] + 1}` : "";
    tip.textContent = `Trial ${columns.trial[i]}${again} on ${data.hosts[columns.host[i]]}${gpus.length ? ` GPU ${gpus.join(", ")}` : ""}: ${NAMES[status] ?? status}, from ${duration(columns.start[i])}, took ${duration(took)}`;
  });
  canvas.addEventListener("click", (event) => {
    const i = found(event);
    if (i !== undefined) location.assign(trialAddress(columns.trial[i]));
  });
}
