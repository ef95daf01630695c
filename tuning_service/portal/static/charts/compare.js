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

export function draw(data, { colours, narrow }) {
  const jobs = data.jobs.filter((job) => job.columns[axis].length);
  document.dispatchEvent(new CustomEvent("portal:compared", { detail: data }));
  if (!jobs.length) return null;
  const dashes = ["solid", "dash", "dot", "dashdot", "longdash"];
  const objectives = new Set(jobs.map((job) => job.objective));
  return {
    traces: jobs.map((job, i) => ({
      x: job.columns[axis],
      y: job.columns.best,
      name: job.name.length > 40 ? `${job.name.slice(0, 39)}…` : job.name,
      type: "scatter",
      mode: job.columns.best.length > 1 ? "lines" : "markers",
      line: { shape: "hv", width: 2, color: colours.series[i % colours.series.length], dash: dashes[Math.floor(i / colours.series.length) % dashes.length] },
      hovertemplate: `%{y:.6g} at %{x:.5g}<extra>${job.name.slice(0, 60).replaceAll("<", "&lt;")}</extra>`,
    })),
    layout: {
      height: narrow ? 360 : 420,
      showlegend: true,
      xaxis: { title: { text: AXES[axis] }, rangemode: "tozero" },
      yaxis: { title: { text: objectives.size === 1 ? `best ${jobs[0].objective}` : "best value of each one's objective" } },
    },
  };
}
