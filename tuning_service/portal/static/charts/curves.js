// Learning curves: the best ones in colours, all others as a few faint shapes, since plotly makes an element of every line.
import { checkbox, entry, plain, select, stateOf, timeUnit, toTrials } from "./common.js";

const COLOURED = 6;
const LAYERS = 8;
const AGAIN_MS = 3000;
const OTHERS = "Other trials";
const of = (figure) => stateOf(figure, { log: false, again: 5 });
const finite = (value) => (typeof value === "number" ? value : null);

export function controls(figure, _set, redraw) {
  const state = of(figure);
  figure.querySelector(".controls").append(
    checkbox("Log scale", state.log, (checked) => {
      state.log = checked;
      redraw();
    }),
  );
}

// On the page of one trial: what it has measured, and what other trials have.
function offerMetrics(figure, data, set) {
  const state = of(figure);
  const offered = [...new Set([...data.metrics, ...JSON.parse(figure.dataset.metrics)])];
  const names = JSON.stringify(offered);
  if (state.offered === names || offered.length < 2) return;
  const choice = select("Metric", offered.map((name) => [name, name]), data.metric, (metric) => set({ metric }));
  const before = state.choice;
  if (before?.contains(document.activeElement)) return;
  [state.offered, state.choice] = [names, choice];
  if (before) before.replaceWith(choice);
  else figure.querySelector(".controls").prepend(choice);
}

export function draw(data, { colours: c, number, narrow, figure, set }) {
  // There each curve has its name, too, this trial's first.
  const own = figure.dataset.trial === undefined ? null : Number(figure.dataset.trial);
  if (own !== null) offerMetrics(figure, data, set);
  if (!data.curves.length) return null;
  // Samples for now: the service works on the whole of them.
  if (data.total_measurements === null && of(figure).again > 0) {
    of(figure).again -= 1;
    setTimeout(() => set({}), AGAIN_MS);
  }
  const byTime = data.x === "time";
  const most = byTime ? data.curves.reduce((all, curve) => Math.max(all, curve.x.at(-1) ?? 0), 0) : 0;
  const [unit, unitName] = byTime ? timeUnit(most) : [1, ""];
  // In a few shapes, not in one: where they lie over each other, it gets darker.
  const layers = Array.from({ length: LAYERS }, () => ({ path: "", spots: "" }));
  const others = { x: [], y: [], customdata: [] };
  const best = [];
  let positive = true;
  data.curves.forEach((curve, place) => {
    const y = curve.y.map(finite);
    positive &&= y.every((value) => value === null || value > 0);
    const x = unit === 1 ? curve.x : curve.x.map((value) => value / unit);
    if (own !== null || (curve.best && best.length < 40)) {
      best.push({ ...curve, x, y });
      return;
    }
    const layer = layers[place % LAYERS];
    y.forEach((value, i) => {
      if (value === null) return;
      const spot = `${x[i]},${value}`;
      const begins = i === 0 || y[i - 1] === null;
      layer.path += `${begins ? "M" : "L"}${spot}`;
      if (begins && (i + 1 === y.length || y[i + 1] === null)) layer.spots += `M${spot}L${spot}`;
      others.x.push(x[i]);
      others.y.push(value);
      others.customdata.push(curve.trial);
    });
  });
  const hover = byTime ? "Trial %{customdata}<br>%{y}<extra></extra>" : "Trial %{customdata}<br>step %{x}: %{y}<extra></extra>";
  const opacity = Math.max(0.3, Math.min(0.8, 40 / data.curves.length));
  const shape = (path, width) => ({ type: "path", path, layer: "between", opacity, legendgroup: OTHERS, fillcolor: "rgba(0,0,0,0)", line: { color: c.grey, width } });
  const shapes = layers.flatMap(({ path, spots }) => [...(path ? [shape(path, 1)] : []), ...(spots ? [shape(spots, 5)] : [])]);
  const traces = shapes.length
    ? [
        { ...entry(OTHERS, { color: c.grey, size: 5 }), mode: "lines", line: { color: c.grey, width: 1 } },
        { type: "scatter", mode: "none", showlegend: false, legendgroup: OTHERS, ...others, hovertemplate: hover },
      ]
    : [];
  if (own !== null) best.sort((first, second) => (second.trial === own) - (first.trial === own));
  best.forEach((curve, place) => {
    const name = own === null ? `Trial ${curve.trial}` : curve.trial === own ? `This trial, ${own}` : `The best, trial ${curve.trial}`;
    traces.push({
      type: "scatter",
      mode: curve.x.length < 2 ? "markers" : "lines",
      name,
      x: curve.x,
      y: curve.y,
      customdata: curve.x.map(() => curve.trial),
      line: { color: c.series[place % COLOURED], width: 2.2, dash: place < COLOURED && (own === null || curve.trial === own) ? "solid" : "dot" },
      marker: { color: c.series[place % COLOURED], size: 7 },
      hovertemplate: hover,
      legendrank: own === null ? curve.trial : place,
    });
  });
  const log = of(figure).log && positive;
  return {
    traces,
    note: told(data, number),
    layout: {
      hovermode: "closest",
      shapes,
      showlegend: !narrow || best.length < 6,
      xaxis: { title: { text: byTime ? `Time, ${unitName}` : "Step" } },
      yaxis: { title: { text: plain(data.metric ?? "") }, type: log ? "log" : "linear", exponentformat: "power" },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      margin: { t: 40 },
      height: narrow || own !== null ? 360 : 480,
    },
  };
}

function told(data, number) {
  const measured = data.total_measurements;
  if (measured === undefined || (measured !== null && measured <= data.total_points)) return "";
  const curves = data.curves.length;
  const of = measured === null ? "points" : `of ${number(measured)} measurements`;
  return `${number(data.total_points)} ${of} of ${number(curves)} trials are drawn, at most ${number(data.points_per_curve)} of a curve. ${data.method}`;
}

export const bound = toTrials;
