// The objective against one parameter.
import { around, axisFor, dots, left, mixed, plain, shown, thinnedByValue, told, toTrials } from "./common.js";

const MOST_VIOLATING = 300;
const SHADES = 16;

export function draw(data, { colours: c }) {
  const { columns, parameter } = data;
  const count = columns.number.length;
  if (!count) return null;
  // Points of one category would hide each other: spread them, the same way each time.
  const spread = (place, i) => (parameter.kind === "categorical" ? place + (((columns.number[i] * 0.618) % 1) - 0.5) * 0.5 : place);
  const x = columns.x.map(spread);
  const places = x.map((_, i) => i);
  const text = places.map((i) => `Trial ${columns.number[i]}<br>${plain(parameter.name)} ${plain(shown(parameter, columns.x[i]))}<br>${plain(data.objective)} ${columns.value[i]}`);
  const last = columns.number.reduce((most, each) => Math.max(most, each), 0);
  const shade = (i) => Math.ceil(((columns.number[i] + 1) * SHADES) / (last + 1)) - 1;
  const bad = places.filter((i) => !columns.feasible[i]);
  const marked = thinnedByValue(bad.map((i) => columns.value[i]), data.goal, MOST_VIOLATING).map((k) => bad[k]);
  const scale = { colorscale: c.scale, cmin: 0, cmax: Math.max(last, 1) };
  const shapes = Array.from({ length: SHADES }, (_, step) => {
    const at = places.filter((i) => columns.feasible[i] && shade(i) === step);
    return at.length ? [dots(x, columns.value, at, { color: mixed(c.scale, (step + 0.5) / SHADES), size: count > 500 ? 5 : 7.5, opacity: count > 500 ? 0.7 : 0.9 })] : [];
  });
  return {
    traces: [
      told(x, columns.value, columns.number, text),
      {
        type: "scatter",
        mode: "markers",
        showlegend: false,
        hoverinfo: "skip",
        x: [...marked.map((i) => x[i]), null],
        y: [...marked.map((i) => columns.value[i]), null],
        marker: {
          ...scale,
          symbol: "triangle-down-open",
          size: 6,
          color: [...marked.map((i) => columns.number[i]), 0],
          showscale: count > 1,
          colorbar: { title: { text: "Trial", side: "top" }, thickness: 10, outlinewidth: 0, tickformat: ",d", ...(last < 8 ? { dtick: 1 } : {}) },
        },
      },
    ],
    note: [bad.length ? "Triangles violate a constraint." : "", left(count - bad.length + marked.length, count)].filter(Boolean).join(" "),
    layout: { hovermode: "closest", shapes: shapes.flat(), xaxis: axisFor(parameter), yaxis: { title: { text: plain(data.objective) }, exponentformat: "power", ...around(columns.value) } },
  };
}

export const bound = toTrials;
