// Best so far against trials, time or cost; trials that did not complete are marked at the bottom.
import { checkbox, duration, left, plain, select, stateOf, thinned, timeUnit, toTrials } from "./common.js";

const ALONG = [["ended", "Trials"], ["elapsed", "Time"], ["cost_cumulative", "Cost"]];
const MOST = 1000;
const of = (figure) => stateOf(figure, { along: "ended", log: false });

export function controls(figure, _set, redraw) {
  const state = of(figure);
  figure.querySelector(".controls").append(
    select("Along", ALONG, state.along, (value) => {
      state.along = value;
      redraw();
    }),
    checkbox("Log scale", state.log, (checked) => {
      state.log = checked;
      redraw();
    }),
  );
}

export function draw(data, { colours: c, number, figure }) {
  const { columns } = data;
  const count = columns.number.length;
  // Without a single value there is nothing to draw against: the note says why.
  if (!columns.value.some((value) => value !== null)) return null;
  const state = of(figure);
  const [unit, unitName] = state.along === "elapsed" ? timeUnit(columns.elapsed[count - 1] ?? 0) : [1, ""];
  const x = columns[state.along].map((value) => (value === null ? null : value / unit));
  const title = { ended: "Trials that have ended", elapsed: `Time since the start, ${unitName}`, cost_cumulative: "Cost so far" }[state.along];
  const positive = !state.log || columns.value.every((value) => value === null || value > 0);
  const drawn = thinned(count, MOST, (i) => columns.best[i] !== null && columns.best[i] === columns.value[i]);
  const groups = [
    { name: "Completed", keep: (i) => columns.value[i] !== null && columns.feasible[i], symbol: "circle", colour: c.blue },
    { name: "Violates a constraint", keep: (i) => columns.value[i] !== null && !columns.feasible[i], symbol: "triangle-down-open", colour: c.pink },
  ];
  const traces = groups.map(({ name, keep, symbol, colour }) => {
    const at = drawn.filter(keep);
    return {
      type: "scatter",
      mode: "markers",
      name,
      x: at.map((i) => x[i]),
      y: at.map((i) => columns.value[i]),
      customdata: at.map((i) => columns.number[i]),
      text: at.map((i) => `Trial ${columns.number[i]}<br>${plain(data.objective)} ${columns.value[i]}<br>after ${duration(columns.elapsed[i])}`),
      hovertemplate: "%{text}<extra></extra>",
      marker: { symbol, color: colour, size: count > 500 ? 4 : 6, opacity: count > 500 ? 0.45 : 0.65 },
    };
  });
  traces.push({
    type: "scatter",
    mode: "lines",
    name: "Best so far",
    x,
    y: columns.best,
    line: { shape: "hv", color: c.orange, width: 2.5 },
    text: columns.best.map((value) => (value === null ? "" : `Best so far ${value}`)),
    hovertemplate: "%{text}<extra></extra>",
    connectgaps: true,
  });
  const bad = drawn.filter((i) => columns.value[i] === null);
  traces.push({
    type: "scatter",
    mode: "markers",
    name: "Failed or stopped",
    x: bad.map((i) => x[i]),
    y: bad.map(() => 0.02),
    yaxis: "y2",
    customdata: bad.map((i) => columns.number[i]),
    text: bad.map((i) => `Trial ${columns.number[i]}: ${data.statuses[columns.status[i]]}`),
    hovertemplate: "%{text}<extra></extra>",
    marker: { symbol: "x-thin", size: 7, line: { color: c.bad, width: 1.5 } },
  });
  figure.querySelector(".plot").setAttribute("aria-label", described(data, number));
  return {
    traces: traces.filter((trace) => trace.x.length),
    note: left(drawn.length, count),
    layout: {
      hovermode: "closest",
      xaxis: { title: { text: title }, rangemode: "tozero" },
      yaxis: { title: { text: plain(data.objective) }, type: state.log && positive ? "log" : "linear", exponentformat: "power" },
      yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      margin: { t: 34 },
    },
  };
}

function described(data, number) {
  const best = data.columns.best.at(-1);
  const told = best === null ? "no trial counts as the best" : `the best ${data.objective} is ${number(best)}`;
  return `Best so far: after ${data.total} ended trials ${told}.`;
}

export const bound = toTrials;
