// CPU, memory and GPU of one execution over time: GET …/trials/{n}/resources.
export function draw(data, { colours, narrow }) {
  const x = data.elapsed_s || [];
  if (!x.length) return null;
  const gib = (values) => values.map((value) => (value === null ? null : value / 2 ** 30));
  const rows = [
    { name: "CPU cores", values: data.cpu, unit: "cores" },
    { name: "Memory", values: gib(data.memory_bytes || []), unit: "GiB" },
  ];
  (data.gpus || []).forEach((gpu) => {
    rows.push({ name: `GPU ${gpu.gpu} memory`, values: gib(gpu.memory_bytes), unit: "GiB" });
    rows.push({ name: `GPU ${gpu.gpu} busy`, values: gpu.utilisation, unit: "%" });
  });
  const shown = rows.filter((row) => row.values?.some((value) => value !== null));
  const gap = 0.08;
  const height = (1 - gap * (shown.length - 1)) / shown.length;
  const layout = { height: 110 * shown.length + 60, showlegend: false, xaxis: { title: { text: "time, s" }, anchor: `y${shown.length > 1 ? shown.length : ""}` }, margin: { l: narrow ? 46 : 60, r: 12, t: 22, b: 44 }, annotations: [] };
  const traces = shown.map((row, i) => {
    const axis = i === 0 ? "" : String(i + 1);
    const top = 1 - i * (height + gap);
    layout[`yaxis${axis}`] = { domain: [Math.max(0, top - height), top], rangemode: "tozero", title: { text: row.unit } };
    layout.annotations.push({ text: row.name, xref: "paper", yref: "paper", x: 0, y: top, xanchor: "left", yanchor: "bottom", showarrow: false });
    return { x, y: row.values, type: "scatter", mode: x.length > 1 ? "lines" : "markers", name: row.name, xaxis: "x", yaxis: `y${axis}`, line: { color: colours.series[i % colours.series.length], width: 1.6 }, hovertemplate: `%{x:.0f} s: %{y:.3g} ${row.unit}<extra>${row.name}</extra>` };
  });
  return { traces, layout };
}
