// How much each parameter matters: bars as a list, which needs no library and can be read out.
import { number } from "../core.js";

const MOST = 30;

export const withoutPlotly = true;

export function draw(data, { figure }) {
  const { parameter: names, importance } = data.columns;
  figure.querySelector(".plot").setAttribute("role", "group");
  figure.classList.add("low");
  if (!names.length) return null;
  const box = document.createElement("div");
  if (data.warning) {
    const warning = document.createElement("p");
    warning.className = "notice warn";
    warning.textContent = data.warning;
    box.append(warning);
  }
  const list = document.createElement("ol");
  list.className = "bars";
  const most = Math.max(...importance, 1e-12);
  names.slice(0, MOST).forEach((name, i) => {
    const item = document.createElement("li");
    item.title = `${name}: ${importance[i]}`;
    const label = document.createElement("span");
    label.className = "clip";
    label.textContent = name;
    const bar = document.createElement("span");
    bar.className = "amount";
    bar.setAttribute("aria-hidden", "true");
    const filled = document.createElement("span");
    filled.style.width = `${(100 * importance[i]) / most}%`;
    bar.append(filled);
    const value = document.createElement("span");
    value.className = "num";
    value.textContent = `${(100 * importance[i]).toFixed(1)} %`;
    item.append(label, bar, value);
    list.append(item);
  });
  box.append(list);
  const told = document.createElement("p");
  told.className = "muted";
  told.textContent = `${{ "ped-anova": "PED-ANOVA", fanova: "fANOVA" }[data.method] ?? data.method} over ${number(data.trials)} trials.${names.length > MOST ? ` ${names.length - MOST} parameters that matter less are left out.` : ""}`;
  box.append(told);
  return box;
}
