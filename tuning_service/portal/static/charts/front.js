// The Pareto front: two objectives at a time.
import { dots, entry, left, plain, select, stateOf, thinned, told, toTrials } from "./common.js";

const MOST_MARKS = 500;
const BEATEN = "Beaten by another";
const of = (figure) => stateOf(figure, { x: 0, y: 1, made: false });

export function draw(data, { colours: c, number, figure, redraw }) {
  const { objectives } = data;
  const count = data.number.length;
  if (!count || objectives.length < 2) return null;
  const state = of(figure);
  if (!state.made && objectives.length > 2) {
    state.made = true;
    axes(figure, objectives, state, redraw);
  }
  const [x, y] = [objectives[state.x], objectives[state.y]];
  const all = data.number.map((_, i) => i);
  const beaten = all.filter((i) => !data.on_front[i] && data.feasible[i]);
  const marks = all.filter((i) => data.on_front[i] || !data.feasible[i]);
  const marked = thinned(marks.length, MOST_MARKS, (k) => data.on_front[marks[k]]).map((k) => marks[k]);
  const text = (i) => `Trial ${data.number[i]}${objectives.map((o) => `<br>${plain(o.name)} ${o.values[i]}`).join("")}`;
  const front = marked.filter((i) => data.on_front[i]).sort((a, b) => x.values[a] - x.values[b]);
  const points = (name, at, marker, extra = {}) => ({
    type: "scatter",
    mode: "markers",
    name,
    x: at.map((i) => x.values[i]),
    y: at.map((i) => y.values[i]),
    customdata: at.map((i) => data.number[i]),
    text: at.map(text),
    hovertemplate: "%{text}<extra></extra>",
    marker,
    ...extra,
  });
  const traces = [
    points("Violates a constraint", marked.filter((i) => !data.on_front[i]), { color: c.pink, symbol: "triangle-down-open", size: 6 }),
    points(`Pareto front (${number(data.front_size)})`, front, { color: c.orange, symbol: "diamond", size: 9, line: { color: c.card, width: 1 } }, {
      // With more than two objectives the front is no line in this picture.
      mode: objectives.length === 2 ? "lines+markers" : "markers",
      line: { color: c.orange, width: 1.5, shape: (x.goal === "minimize") === (y.goal === "minimize") ? "hv" : "vh" },
    }),
  ];
  const size = count > 500 ? 4 : 6;
  const those = (values) => beaten.map((i) => values[i]);
  const behind = beaten.length ? [{ ...entry(BEATEN, { color: c.grey, size, opacity: 0.6 }), ...ends(x.values, y.values, beaten) }, { ...told(those(x.values), those(y.values), those(data.number), beaten.map(text)), legendgroup: BEATEN }] : [];
  return {
    traces: [...behind, ...traces.filter((trace) => trace.x.length)],
    note: left(beaten.length + marked.length, count),
    layout: {
      hovermode: "closest",
      shapes: beaten.length ? [dots(x.values, y.values, beaten, { color: c.grey, size, opacity: 0.6, legendgroup: BEATEN })] : [],
      xaxis: { title: { text: `${plain(x.name)} (${better(x)})` }, exponentformat: "power" },
      yaxis: { title: { text: `${plain(y.name)} (${better(y)})` }, exponentformat: "power" },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      margin: { t: 34 },
    },
  };
}

// The outermost points along x, as markers: plotly leaves room for those beside its axes.
function ends(x, y, at) {
  const order = [...at].sort((a, b) => x[a] - x[b]);
  const outer = [order[0], order.at(-1)];
  return { x: outer.map((i) => x[i]), y: outer.map((i) => y[i]) };
}

const better = (objective) => (objective.goal === "minimize" ? "less is better" : "more is better");

function axes(figure, objectives, state, redraw) {
  const options = objectives.map((objective, place) => [String(place), objective.name]);
  const inputs = {};
  const choose = (mine, other) => (value) => {
    if (Number(value) === state[other]) {
      state[other] = state[mine];
      inputs[other].querySelector("select").value = String(state[other]);
    }
    state[mine] = Number(value);
    redraw();
  };
  inputs.x = select("Across", options, String(state.x), choose("x", "y"));
  inputs.y = select("Up", options, String(state.y), choose("y", "x"));
  figure.querySelector(".controls").append(inputs.x, inputs.y);
}

export const bound = toTrials;
