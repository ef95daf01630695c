// Draws <figure data-chart="NAME" data-source="URL">: fetches its data when it comes into sight, loads the module
// charts/NAME.js, and draws again when the page was updated or the theme changed. A module exports
//
//   draw(data, { colours, number, narrow, figure, set, redraw }) -> { traces, layout, note }
//                                     for plotly, or a DOM element of its own
//   withoutPlotly                     true of those that draw elements of their own
//   controls(figure, set, redraw)     optional, once: fills figure.querySelector(".controls");
//                                     set({name: value}) changes the source's query and draws again;
//                                     redraw() draws again what is there
//   bound(box, figure)                optional, once: listens to plotly's events
//
// An answer of REST has `question` and `note`; the note stands below the chart. Nothing to draw: draw gives null.
import { api } from "./core.js";
import { number } from "./core.js";

const GAP_MS = 2000; // between two drawings of one chart
const states = new WeakMap();
let plotlyLoading = null;
let over = false; // what they show is there no more: what was drawn last stays
document.addEventListener("portal:gone", () => {
  over = true;
});

function plotly() {
  plotlyLoading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.querySelector('meta[name="plotly"]').content;
    script.onload = () => resolve(globalThis.Plotly);
    script.onerror = () => {
      plotlyLoading = null;
      reject(new Error("The chart library could not be loaded."));
    };
    document.head.append(script);
  });
  return plotlyLoading;
}

export function colours() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["text", "muted", "line", "card", "ground", "accent", "good", "bad", "blue", "orange", "green", "pink", "sky", "yellow", "grey"];
  const found = Object.fromEntries(names.map((name) => [name, value(name)]));
  const dark = style.colorScheme === "dark";
  // From few to much: one hue range whose lightness alone tells the order.
  found.scale = dark
    ? [[0, "#2b3a67"], [0.25, "#3d6e9e"], [0.5, "#4fa3a5"], [0.75, "#a5c96a"], [1, "#fde725"]]
    : [[0, "#fdf3a0"], [0.25, "#9bd08f"], [0.5, "#3ba19a"], [0.75, "#2b6a99"], [1, "#33265f"]];
  found.series = [found.blue, found.orange, found.green, found.pink, found.yellow, found.sky, found.grey];
  return found;
}

function layoutFor(layout, c) {
  const axis = { gridcolor: c.line, zerolinecolor: c.line, linecolor: c.line, automargin: true, title: { standoff: 8 } };
  const base = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: c.text, family: getComputedStyle(document.body).fontFamily, size: 12 },
    colorway: c.series,
    hoverlabel: { bgcolor: c.card, bordercolor: c.line, font: { color: c.text } },
    legend: { orientation: "h", y: -0.2 },
    autosize: true,
    ...layout,
    margin: { l: 56, r: 12, t: 8, b: 44, ...layout.margin },
  };
  for (const name of Object.keys(base).filter((key) => /^[xy]axis\d*$/.test(key)).concat(["xaxis", "yaxis"])) {
    base[name] = { ...axis, ...base[name] };
  }
  return base;
}

// Nothing leaves for elsewhere: plotly would offer to share a chart by its makers' servers.
const CONFIG = { displaylogo: false, responsive: true, plotlyServerURL: "", modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "sendChartToCloud"] };

export function startCharts() {
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const state = stateOf(entry.target);
      state.visible = entry.isIntersecting;
      if (state.visible && state.stale) drawSoon(entry.target);
    }
  }, { rootMargin: "200px" });
  const find = () => {
    for (const figure of document.querySelectorAll("figure[data-chart]")) {
      if (!states.has(figure)) {
        stateOf(figure);
        seen.observe(figure);
      }
    }
  };
  const again = () => {
    find();
    for (const figure of document.querySelectorAll("figure[data-chart]")) {
      const state = stateOf(figure);
      state.stale = true;
      if (state.visible) drawSoon(figure);
    }
  };
  find();
  document.addEventListener("portal:updated", again);
  document.addEventListener("portal:theme", () => {
    for (const figure of document.querySelectorAll("figure[data-chart]")) if (states.get(figure)?.data) paint(figure);
  });
}

function stateOf(figure) {
  if (!states.has(figure)) states.set(figure, { stale: true, visible: false, query: {}, timer: null, drawnAt: -GAP_MS });
  return states.get(figure);
}

function drawSoon(figure) {
  const state = stateOf(figure);
  const wait = Math.max(0, state.drawnAt + GAP_MS - performance.now());
  state.timer ??= setTimeout(() => {
    state.timer = null;
    fetchAndPaint(figure);
  }, wait);
}

function sourceOf(figure) {
  const url = new URL(figure.dataset.source, location.href);
  for (const [name, value] of Object.entries(stateOf(figure).query)) {
    if (value === null || value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  return url.pathname + url.search;
}

// Changes the query of a chart's source and draws it again at once.
export function set(figure, query) {
  const state = stateOf(figure);
  Object.assign(state.query, query);
  fetchAndPaint(figure);
}

async function fetchAndPaint(figure) {
  if (over) return;
  const state = stateOf(figure);
  const box = figure.querySelector(".plot");
  state.stale = false;
  state.asking?.abort();
  state.asking = new AbortController();
  if (!state.data) box.classList.add("waiting");
  try {
    state.module ??= await import(`./charts/${figure.dataset.chart}.js`);
    if (!state.controlled) {
      state.controlled = true;
      state.module.controls?.(figure, (query) => set(figure, query), () => state.data && paint(figure));
    }
    if (!state.module.withoutPlotly) plotly().catch(() => {}); // on its way while the data come; `paint` tells of a failure
    state.data = figure.dataset.source ? await api("GET", sourceOf(figure), undefined, { signal: state.asking.signal }) : {};
    state.drawnAt = performance.now();
    await paint(figure);
  } catch (problem) {
    if (problem.name === "AbortError") return;
    state.drawnAt = performance.now();
    message(figure, problem.message, true);
  } finally {
    box.classList.remove("waiting");
  }
}

function message(figure, text, failed = false) {
  const box = figure.querySelector(".plot");
  globalThis.Plotly?.purge(box);
  box.replaceChildren();
  for (const name of ["role", "aria-label"]) box.removeAttribute(name);
  figure.classList.add("nothing");
  const note = document.createElement("p");
  note.className = "empty";
  note.textContent = text;
  box.append(note);
  if (failed) {
    const button = document.createElement("button");
    button.textContent = "Try again";
    button.addEventListener("click", () => fetchAndPaint(figure));
    note.append(document.createElement("br"), button);
  }
}

// Shapes that stand for a trace (charts/common.js) go and come with its group in the legend: plotly marks them so, but
// draws those again that have no entry of their own only when it is told.
function shapesFollow(box, library) {
  const hidden = new Set(box.data.filter((trace) => trace.visible === "legendonly").map((trace) => trace.legendgroup));
  const changes = {};
  (box.layout.shapes ?? []).forEach((shape, place) => {
    if (shape.legendgroup) changes[`shapes[${place}].visible`] = !hidden.has(shape.legendgroup);
  });
  if (Object.keys(changes).length) library.relayout(box, changes);
}

async function paint(figure) {
  const state = stateOf(figure);
  const box = figure.querySelector(".plot");
  const c = colours();
  const narrow = box.clientWidth < 480;
  const began = performance.now();
  const redraw = () => paint(figure);
  const drawn = state.module.draw(state.data, { colours: c, number, narrow, figure, set: (query) => set(figure, query), redraw });
  figure.querySelector(".note").textContent = [state.data.note, drawn?.note].filter(Boolean).join(" ");
  if (drawn !== null) figure.classList.remove("nothing");
  if (drawn === null) {
    message(figure, state.data.note || "Nothing to show yet.");
    figure.querySelector(".note").textContent = "";
  } else if (drawn instanceof Element) {
    box.replaceChildren(drawn);
  } else {
    const library = await plotly();
    if (!box.classList.contains("js-plotly-plot")) box.replaceChildren();
    box.setAttribute("role", "group"); // no image: the buttons in its corner can be reached
    if (!box.hasAttribute("aria-label")) box.setAttribute("aria-label", figure.querySelector("figcaption").textContent);
    await library.react(box, drawn.traces, layoutFor(drawn.layout || {}, c), { ...CONFIG, ...(drawn.config || {}) });
    // Pieces of no length show as dots; set here and not by a stylesheet, so that a picture that is saved has them too.
    for (const layer of box.querySelectorAll(".shapelayer")) layer.style.strokeLinecap = "round";
    if (!state.bound) {
      state.bound = true;
      for (const event of ["plotly_restyle", "plotly_update"]) box.on(event, () => shapesFollow(box, library));
      state.module.bound?.(box, figure);
    }
  }
  performance.measure(`portal:draw:${figure.dataset.chart}`, { start: began });
  figure.dataset.drawn = String(Number(figure.dataset.drawn || 0) + 1);
}
