// Configurations that a search may try, as a table: a row for each parameter, since of them there may be many.
import { escaped, number } from "./core.js";

const DIGITS = 3;

function cell(sample, name) {
  if (!(name in sample)) return '<td class="num"><span class="muted" title="Not active">–</span></td>';
  const item = sample[name];
  const text = typeof item === "number" ? number(item, DIGITS) : item;
  return `<td class="num clip" dir="auto" title="${escaped(item)}">${escaped(text)}</td>`;
}

export function table(names, samples) {
  const head = samples.map((_, i) => `<th scope="col" class="num">${i + 1}</th>`).join("");
  const row = (name) => {
    const cells = samples.map((sample) => cell(sample, name)).join("");
    return `<tr><th scope="row" class="clip" dir="auto" title="${escaped(name)}">${escaped(name)}</th>${cells}</tr>`;
  };
  return `<table><thead><tr><th scope="col">Parameter</th>${head}</tr></thead><tbody>${names.map(row).join("")}</tbody></table>`;
}
