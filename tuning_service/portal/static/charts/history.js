// Best so far against trials, time or cost; trials that did not complete are marked at the bottom.
import { around, checkbox, dots, duration, entry, left, plain, select, stateOf, thinned, timeUnit, told, toTrials } from "./common.js";

const ALONG = [["ended", "Trials"], ["elapsed", "Time"], ["cost_cumulative", "Cost"]];
const MOST_MARKS = 300;
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
  const places = x.map((_, i) => i);
  const completed = places.filter((i) => columns.value[i] !== null && columns.feasible[i]);
  const violating = fewer(places.filter((i) => columns.value[i] !== null && !columns.feasible[i]));
  const bad = fewer(places.filter((i) => columns.value[i] === null));
  const text = places.map((i) => `Trial ${columns.number[i]}<br>${plain(data.objective)} ${columns.value[i]}<br>after ${duration(columns.elapsed[i])}`);
  const size = count > 500 ? 4 : 6;
  const marks = (name, at, marker) => ({
    type: "scatter",
    mode: "markers",
    name,
    x: at.map((i) => x[i]),
    y: at.map((i) => columns.value[i]),
    customdata: at.map((i) => columns.number[i]),
    text: at.map((i) => text[i]),
    hovertemplate: "%{text}<extra></extra>",
    marker,
  });
  const traces = [marks("Violates a constraint", violating, { symbol: "triangle-down-open", color: c.pink, size, opacity: 0.65 })];
  if (completed.length) {
    const of = (values) => completed.map((i) => values[i]);
    traces.unshift(entry("Completed", { color: c.blue, size }), { ...told(of(x), of(columns.value), of(columns.number), of(text)), legendgroup: "Completed" });
  }
  traces.push({
    type: "scatter",
    mode: count > 1 ? "lines" : "lines+markers", // a line of one point is none
    name: "Best so far",
    x,
    y: columns.best,
    line: { shape: "hv", color: c.orange, width: 2.5 },
    text: columns.best.map((value) => (value === null ? "" : `Best so far ${value}`)),
    hovertemplate: "%{text}<extra></extra>",
    connectgaps: true,
  });
  traces.push({
    ...marks("Failed or stopped", bad, { symbol: "x-thin", size: 7, line: { color: c.bad, width: 1.5 } }),
    y: bad.map(() => 0.02),
    yaxis: "y2",
    text: bad.map((i) => `Trial ${columns.number[i]}: ${data.statuses[columns.status[i]]}`),
  });
  figure.querySelector(".plot").setAttribute("aria-label", described(data, number));
  return {
    traces: traces.filter((trace) => trace.x.length),
    note: left(completed.length + violating.length + bad.length, count),
    layout: {
      hovermode: "closest",
      shapes: completed.length ? [dots(x, columns.value, completed, { color: c.blue, size, opacity: count > 500 ? 0.5 : 0.7, legendgroup: "Completed" })] : [],
      xaxis: { title: { text: title }, ...extent(x), ...(state.along === "ended" && count < 9 ? { dtick: 1 } : {}) },
      yaxis: { title: { text: plain(data.objective) }, type: state.log && positive ? "log" : "linear", exponentformat: "power", ...(state.log ? {} : around(columns.value)) },
      yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      margin: { t: 34 },
    },
  };
}

// From zero, unless that leaves most of the chart empty; with room for the last point.
function extent(x) {
  const [first, last] = [x[0], x.at(-1)];
  if (!(last > 0)) return { rangemode: "tozero" };
  const from = x.length > 1 && last > first && first > last / 2 ? first - (last - first) * 0.05 : 0;
  return { range: [from, last + (last - from) * 0.02] };
}

// Of marks each is an element of the page.
const fewer = (at) => thinned(at.length, MOST_MARKS).map((k) => at[k]);

function described(data, number) {
  const best = data.columns.best.at(-1);
  const told = best === null ? "no trial counts as the best" : `the best ${data.objective} is ${number(best)}`;
  return `Best so far: after ${data.total} ended trials ${told}.`;
}

export const bound = toTrials;
