// The objective over two parameters: trials as points, and what is expected between them.
import { axisFor, dots, plain, shown, told, toTrials } from "./common.js";

export function draw(data, { colours: c, number, narrow }) {
  const { columns, x, y } = data;
  if (!columns.number.length) return null;
  const listed = x.kind === "categorical" || y.kind === "categorical";
  // The better, the darker on light ground and the brighter on dark: whichever way the goal points.
  const reversescale = data.goal === "minimize";
  const surface = {
    type: listed ? "heatmap" : "contour",
    x: x.grid,
    y: y.grid,
    z: data.z,
    colorscale: c.scale,
    reversescale,
    hoverongaps: false,
    connectgaps: false,
    customdata: data.z.map((row, j) => row.map((_, i) => `${plain(x.name)} ${plain(shown(x, x.grid[i]))}<br>${plain(y.name)} ${plain(shown(y, y.grid[j]))}`)),
    hovertemplate: `%{customdata}<br>expected %{z}<extra></extra>`,
    colorbar: { title: { text: plain(data.objective), side: "top" }, thickness: 10, outlinewidth: 0 },
    ...(listed ? {} : { contours: { coloring: "heatmap", showlines: true }, line: { width: 0.6, color: c.ground }, ncontours: 12 }),
  };
  const places = columns.number.map((_, i) => i);
  const text = places.map(
    (i) => `Trial ${columns.number[i]}<br>${plain(x.name)} ${plain(shown(x, columns.x[i]))}<br>${plain(y.name)} ${plain(shown(y, columns.y[i]))}<br>${plain(data.objective)} ${number(columns.value[i], 7)}`,
  );
  const points = told(columns.x, columns.y, columns.number, text);
  const size = places.length > 200 ? 4 : 5.5;
  // Each has a rim, to be seen on any ground.
  const spots = [[c.card, size + 1.6], [c.text, size]].map(([color, width]) => dots(columns.x, columns.y, places, { color, size: width, opacity: 0.75, layer: "above" }));
  return {
    traces: data.z.some((row) => row.some((value) => value !== null)) ? [surface, points] : [points],
    layout: { hovermode: "closest", shapes: spots, xaxis: axisFor(x), yaxis: axisFor(y), height: narrow ? 340 : 420 },
  };
}

export const bound = toTrials;
