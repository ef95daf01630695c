// Best so far of several jobs: GET /v1/analysis/compare. By trials, time or cost.
const AXES = { ended: "trials that ended", elapsed: "time since its start, s", cost: "cost" };
let axis = "ended";

export function controls(figure, set) {
  const box = figure.querySelector(".controls");
  box.innerHTML = `<label>Against <select>${Object.entries({ ended: "trials", elapsed: "time", cost: "cost" }).map(([name, label]) => `<option value="${name}">${label}</option>`).join("")}</select></label>`;
  box.querySelector("select").addEventListener("change", (event) => {
    axis = event.target.value;
    set({});
  });
}

const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
const GAP = 0.09; // between panels, as a part of the height

// Jobs with the same objective share a panel: values of others cannot be compared with theirs.
export function draw(data, { colours, narrow }) {
  document.dispatchEvent(new CustomEvent("portal:compared", { detail: data }));
  const jobs = data.jobs.filter((job) => job.columns[axis].length);
  if (!jobs.length) return null;
  const aim = (job) => `${job.objective}, ${job.goal}`;
  const aims = [...new Set(jobs.map(aim))];
  const height = (1 - GAP * (aims.length - 1)) / aims.length;
  const layout = {
    height: aims.length === 1 ? (narrow ? 360 : 420) : 90 + (narrow ? 190 : 220) * aims.length,
    showlegend: true,
    legend: { orientation: "h", y: aims.length === 1 ? -0.2 : -60 / (220 * aims.length) },
    xaxis: { title: { text: AXES[axis] }, rangemode: "tozero", anchor: aims.length === 1 ? "y" : `y${aims.length}` },
  };
  aims.forEach((name, i) => {
    const top = 1 - i * (height + GAP);
    const { objective: metric, goal } = jobs.find((job) => aim(job) === name);
    const word = aims.length === 1 ? "best" : goal === "minimize" ? "lowest" : "highest";
    layout[`yaxis${i ? i + 1 : ""}`] = {
      title: { text: `${word} ${metric.length > 24 ? `${metric.slice(0, 23)}…` : metric}` },
      domain: [Math.max(0, top - height), top],
    };
  });
  const traces = jobs.map((job, i) => {
    const panel = aims.indexOf(aim(job));
    return {
      x: job.columns[axis],
      y: job.columns.best,
      xaxis: "x",
      yaxis: `y${panel ? panel + 1 : ""}`,
      name: plain(job.name, narrow ? 28 : 40),
      type: "scatter",
      mode: job.columns.best.length > 1 ? "lines" : "markers",
      line: { shape: "hv", width: 2, color: colours.series[i % colours.series.length], dash: DASHES[Math.floor(i / colours.series.length) % DASHES.length] },
      hovertemplate: `%{y:.6g} at %{x:.5g}<extra>${plain(job.name, 60)}</extra>`,
    };
  });
  return { traces, layout };
}

// Plotly takes some HTML in texts.
function plain(text, most) {
  const short = text.length > most ? `${text.slice(0, most - 1)}…` : text;
  return short.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
