// CPU, memory and GPUs of one execution over time: GET …/trials/{n}/resources, which answers in columns.
import { duration, timeUnit } from "./common.js";

const UNITS = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "bytes"]];

// In the unit that suits the greatest.
function sized(name, values) {
  const [size, unit] = UNITS.find(([least]) => values.some((value) => value >= least)) ?? UNITS.at(-1);
  return { name, unit, values: values.map((value) => (value === null ? null : value / size)) };
}

export function draw(data, { colours, number, narrow }) {
  const seconds = data.elapsed_s;
  if (!seconds.length) return null;
  const rows = [
    { name: "CPU cores in use", unit: "cores", values: data.cpu },
    sized("Memory", data.memory_bytes),
  ];
  data.gpus.forEach((gpu, place) => {
    rows.push(sized(`Memory of GPU ${gpu}`, data.gpu_memory_bytes[place]));
    const busy = data.gpu_utilisation[place].map((value) => (value === null ? null : 100 * value));
    rows.push({ name: `GPU ${gpu} busy`, unit: "%", values: busy, most: 100 });
  });
  const shown = rows.filter((row) => row.values.some((value) => value !== null));
  const [unit, unitName] = timeUnit(seconds.at(-1));
  const x = seconds.map((value) => value / unit);
  const text = seconds.map(duration);
  const gap = 0.36 / (shown.length + 1);
  const height = (1 - gap * shown.length) / shown.length;
  const last = shown.length > 1 ? String(shown.length) : "";
  const layout = {
    height: 115 * shown.length + 50,
    showlegend: false,
    hovermode: "x unified",
    xaxis: { title: { text: `Time since it began, ${unitName}` }, anchor: `y${last}` },
    margin: { l: narrow ? 48 : 60, r: 12, t: 4, b: 44 },
    annotations: [],
  };
  const traces = shown.map((row, place) => {
    const axis = place === 0 ? "" : String(place + 1);
    const top = 1 - gap - place * (height + gap);
    const range = row.most ? { range: [0, row.most * 1.04] } : { rangemode: "tozero" };
    layout[`yaxis${axis}`] = { domain: [Math.max(0, top - height), top], nticks: 4, title: { text: row.unit }, ...range };
    layout.annotations.push({ text: `<b>${row.name}</b>`, xref: "paper", yref: "paper", x: 0, y: top, xanchor: "left", yanchor: "bottom", showarrow: false });
    return {
      x,
      y: row.values,
      text,
      type: "scatter",
      mode: x.length > 1 ? "lines" : "markers",
      name: row.name,
      xaxis: "x",
      yaxis: `y${axis}`,
      line: { color: colours.series[place % colours.series.length], width: 1.8 },
      marker: { color: colours.series[place % colours.series.length], size: 7 },
      hovertemplate: `${row.name} after %{text}: %{y:.4~g} ${row.unit}<extra></extra>`,
    };
  });
  const threads = Math.max(...data.threads);
  return { traces, layout, note: `Sampled every few seconds; ${number(threads)} thread${threads === 1 ? "" : "s"} at most.` };
}
