// Values as people type them, and back: `sgd`, `0.5`, `true`; what stands in quotes is a text.

const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;

const plain = (text) => text.trim().replace(/^−/, "-");

// "…" as JSON has it, '…' with '' for a quote; undefined when the text is not wholly in quotes.
function unquoted(text) {
  if (/^"(\\.|[^"\\])*"$/s.test(text)) {
    try {
      return JSON.parse(text);
    } catch {
      return text.slice(1, -1); // a backslash of Windows, say
    }
  }
  return /^'([^']|'')*'$/s.test(text) ? text.slice(1, -1).replaceAll("''", "'") : undefined;
}

// A text, a number or a boolean.
export function value(text) {
  const clean = text.trim();
  const quoted = unquoted(clean);
  if (quoted !== undefined) return quoted;
  if (clean === "true" || clean === "false") return clean === "true";
  const number = plain(clean);
  return NUMBER.test(number) && Number.isFinite(Number(number)) ? Number(number) : clean;
}

// What `value` reads back as `item`.
export function shown(item) {
  if (typeof item !== "string") return typeof item === "object" ? JSON.stringify(item) : String(item);
  return item === "" || value(item) !== item || /[,\n]|^["'{[]/.test(item) ? JSON.stringify(item) : item;
}

// The parts between commas; those in quotes or brackets do not count.
function parts(text) {
  const found = [""];
  let quote = "";
  let depth = 0;
  for (let i = 0; i < text.length; i += 1) {
    const letter = text[i];
    if (quote) {
      if (letter === "\\" && quote === '"' && i + 1 < text.length) {
        found[found.length - 1] += letter;
        i += 1;
      } else if (letter === quote) quote = "";
    } else if ((letter === '"' || letter === "'") && /(^|:)\s*$/.test(found.at(-1))) quote = letter;
    else if (letter === "[" || letter === "{") depth += 1;
    else if (letter === "]" || letter === "}") depth -= 1;
    if (letter === "," && !quote && depth <= 0) found.push("");
    else found[found.length - 1] += text[i];
  }
  return found.map((part) => part.trim()).filter(Boolean);
}

// A list: `sgd, adam`, `[1, 2]`, `"a, b", c`.
export function values(text) {
  const inner = /^\[(.*)\]$/s.exec(text.trim());
  return parts(inner ? inner[1] : text).map(value);
}

// A configuration: JSON, or `lr: 0.01, optimizer: adam` with or without its brackets. undefined: neither.
export function point(text) {
  try {
    const read = JSON.parse(text);
    return typeof read === "object" && read !== null && !Array.isArray(read) ? read : undefined;
  } catch {
    const inner = /^\{(.*)\}$/s.exec(text.trim());
    const found = {};
    for (const part of parts(inner ? inner[1] : text)) {
      const [, name, item] = /^["']?([^\s:"']+)["']?\s*:\s*(.+)$/s.exec(part) || [];
      if (!name) return undefined;
      found[name] = value(item);
    }
    return Object.keys(found).length ? found : undefined;
  }
}

// What is wrong with a text that is to be a number: {message, remedy}, or null.
export function numberProblem(text) {
  const clean = plain(text);
  const quoted = JSON.stringify(text.trim());
  if (NUMBER.test(clean)) {
    const read = Number(clean);
    if (!Number.isFinite(read)) return { message: `${quoted} is too large for a number.`, remedy: "Write a smaller one." };
    if (/^[-+]?\d+$/.test(clean) && !Number.isSafeInteger(read)) {
      return { message: `${quoted} has more digits than a browser counts exactly.`, remedy: `Up to ${Number.MAX_SAFE_INTEGER} it does; submit larger ones with the command line.` };
    }
    return null;
  }
  const comma = /^([-+]?\d+),(\d+)(e[-+]?\d+)?$/i.exec(clean);
  if (comma) {
    const [, whole, rest, power = ""] = comma;
    const thousand = rest.length === 3 && !/^[-+]?0/.test(whole) && !power ? `, or ${whole}${rest} for thousands` : "";
    return { message: `${quoted} is no number.`, remedy: `Decimals follow a point: ${whole}.${rest}${power}${thousand}.` };
  }
  return { message: `${quoted} is no number.`, remedy: "Write digits, with a point for decimals: 0.001 or 1e-3." };
}
