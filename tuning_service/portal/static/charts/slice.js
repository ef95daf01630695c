// The objective against one parameter.
import { axisFor, left, plain, shown, thinnedByValue, toTrials } from "./common.js";

const MOST = 1000;

export function draw(data, { colours: c, number }) {
  const { columns, parameter } = data;
  const count = columns.number.length;
  if (!count) return null;
  // Points of one category would hide each other: spread them, the same way each time.
  const spread = parameter.kind === "categorical" ? (i) => columns.x[i] + (((columns.number[i] * 0.618) % 1) - 0.5) * 0.5 : (i) => columns.x[i];
  const drawn = thinnedByValue(columns.value, data.goal, MOST);
  const groups = [
    { name: "Completed", keep: (i) => columns.feasible[i], symbol: "circle" },
    { name: "Violates a constraint", keep: (i) => !columns.feasible[i], symbol: "triangle-down-open" },
  ];
  const traces = groups.flatMap(({ name, keep, symbol }) => {
    const at = drawn.filter(keep);
    if (!at.length) return [];
    return [
      {
        type: "scatter",
        mode: "markers",
        name,
        showlegend: false,
        x: at.map(spread),
        y: at.map((i) => columns.value[i]),
        customdata: at.map((i) => columns.number[i]),
        text: at.map((i) => `Trial ${columns.number[i]}<br>${plain(parameter.name)} ${plain(shown(parameter, columns.x[i]))}<br>${plain(data.objective)} ${columns.value[i]}`),
        hovertemplate: "%{text}<extra></extra>",
        marker: {
          symbol,
          size: count > 500 ? 5 : 7,
          opacity: count > 500 ? 0.6 : 0.85,
          color: at.map((i) => columns.number[i]),
          colorscale: c.scale,
          cmin: 0,
          cmax: columns.number.reduce((most, each) => Math.max(most, each), 1),
          showscale: symbol === "circle",
          colorbar: { title: { text: "Trial", side: "top" }, thickness: 10, outlinewidth: 0, tickformat: ",d" },
        },
      },
    ];
  });
  return {
    traces,
    note: left(drawn.length, count),
    layout: { hovermode: "closest", xaxis: axisFor(parameter), yaxis: { title: { text: plain(data.objective) }, exponentformat: "power" } },
  };
}

export const bound = toTrials;
