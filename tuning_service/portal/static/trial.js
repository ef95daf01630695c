// A trial's log, as it comes: the last MiB at first, more on demand, a bounded part kept in the page; and its artifacts.
import { api, element, localTimes } from "./core.js";

const FIRST = 256 * 1024; // bytes shown at first
const PIECE = 1024 * 1024;
const MOST = 4 * 1024 * 1024; // characters kept in the page
const POLL_MS = 1000;

const section = document.getElementById("log");
const text = document.getElementById("log-text");
const state = document.getElementById("log-state");
const follow = document.getElementById("log-follow");
const source = `${section.dataset.source}/log`;
const task = section.dataset.task;
const decoder = () => new TextDecoder("utf-8", { fatal: false });

let position = -FIRST;
let start = 0;
let complete = false;
let reading = false;
let streaming = decoder();

function query(fields) {
  const all = { ...fields, ...(task === undefined ? {} : { task }) };
  return `${source}?${new URLSearchParams(all)}`;
}

async function piece(from, length) {
  const answer = await fetch(query({ start: from, length }));
  if (!answer.ok) throw new Error(`The log could not be read (${answer.status}).`);
  const data = new Uint8Array(await answer.arrayBuffer());
  return {
    data,
    start: Number(answer.headers.get("X-Log-Start")),
    total: Number(answer.headers.get("X-Log-Total")),
    complete: answer.headers.get("X-Log-Complete") === "true",
  };
}

// Escape sequences of terminals say nothing here, and a carriage return starts its line anew.
function readable(chunk) {
  return chunk.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "").replace(/\r\n/g, "\n").replace(/[^\n]*\r(?!\n)/g, "");
}

function say(total) {
  if (total === 0) state.textContent = complete ? "It printed nothing." : "Nothing printed yet.";
  else if (start > 0) {
    state.replaceChildren(`Shown from byte ${start.toLocaleString()} of ${total.toLocaleString()}. `);
    const more = element('<button type="button">Show earlier lines</button>');
    more.addEventListener("click", earlier);
    state.append(more);
  } else state.textContent = complete ? `${total.toLocaleString()} bytes, complete.` : `${total.toLocaleString()} bytes so far.`;
}

async function read() {
  if (reading || complete) return;
  reading = true;
  try {
    for (;;) {
      const got = await piece(position, PIECE);
      if (position < 0) start = got.start;
      position = got.start + got.data.length;
      complete = got.complete && position >= got.total;
      const chunk = readable(streaming.decode(got.data, { stream: !complete }));
      if (chunk) {
        text.append(chunk);
        shorten();
        if (follow.checked) text.scrollTop = text.scrollHeight;
      }
      say(got.total);
      if (!got.data.length || position >= got.total) break;
    }
  } catch (error) {
    state.textContent = task === undefined ? "It has not been started yet." : error.message;
  } finally {
    reading = false;
  }
}

function shorten() {
  const over = text.textContent.length - MOST;
  if (over <= 0) return;
  const kept = text.textContent.slice(over);
  start += new TextEncoder().encode(text.textContent.slice(0, over)).length;
  text.textContent = kept;
}

async function earlier() {
  const from = Math.max(0, start - PIECE);
  const got = await piece(from, start - from);
  const before = text.scrollHeight;
  text.prepend(readable(decoder().decode(got.data)));
  start = got.start;
  text.scrollTop += text.scrollHeight - before;
  say(got.total);
}

// -- search: over the whole log, on the server

const field = document.getElementById("log-search");
const found = document.getElementById("log-found");
const previous = document.getElementById("log-previous");
let matches = [];
let at = -1;
let searched = "";

async function search() {
  searched = field.value;
  matches = [];
  at = -1;
  if (!searched) {
    found.textContent = "";
    previous.disabled = true;
    CSS.highlights?.delete("log-match");
    return;
  }
  const answer = await api("GET", query({ q: searched, limit: 1000 }).replace("/log?", "/log/search?"));
  matches = answer.matches;
  found.textContent = matches.length ? "" : "not found";
  previous.disabled = matches.length < 2;
}

async function go(step) {
  if (field.value !== searched) await search();
  if (!matches.length) return;
  at = (at + step + matches.length) % matches.length;
  found.textContent = `${at + 1} of ${matches.length.toLocaleString()}`;
  await reveal(matches[at].offset);
}

async function reveal(offset) {
  follow.checked = false;
  while (offset < start) await earlier();
  const encoder = new TextEncoder();
  const whole = text.textContent;
  // Escape sequences were taken out, so the place is looked for near where it must be.
  const near = Math.max(0, Math.min(whole.length, offset - start) - 200);
  const lower = whole.toLowerCase();
  let index = lower.indexOf(searched.toLowerCase(), near);
  if (index < 0) index = lower.lastIndexOf(searched.toLowerCase());
  if (index < 0 || encoder.encode(whole).length === 0) return;
  text.normalize();
  const node = text.firstChild;
  const range = document.createRange();
  range.setStart(node, index);
  range.setEnd(node, index + searched.length);
  CSS.highlights?.set("log-match", new Highlight(range));
  const box = range.getBoundingClientRect();
  text.scrollTop += box.top - text.getBoundingClientRect().top - text.clientHeight / 2;
}

section.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  go(1);
});
previous.addEventListener("click", () => go(-1));
field.addEventListener("input", () => field.value || search());
document.getElementById("log-wrap").addEventListener("change", (event) => text.classList.toggle("wrap", event.target.checked));
text.addEventListener("scroll", () => {
  if (text.scrollTop + text.clientHeight < text.scrollHeight - 40) follow.checked = false;
});
follow.addEventListener("change", () => {
  if (follow.checked) text.scrollTop = text.scrollHeight;
});

// -- artifacts

const artifacts = document.getElementById("artifacts");

async function listArtifacts() {
  const list = document.getElementById("artifact-list");
  try {
    const { items } = await api("GET", artifacts.dataset.source);
    if (!items.length) {
      list.innerHTML = '<p class="muted">None. What a program leaves in the folder <code>$TUNING_ARTIFACTS_DIR</code> is kept here when it has ended.</p>';
      return;
    }
    const table = element('<div class="scroll"><table><thead><tr><th scope="col">File</th><th scope="col" class="num">Bytes</th></tr></thead><tbody></tbody></table></div>');
    for (const item of items) {
      const row = document.createElement("tr");
      row.innerHTML = '<td class="name"><a download></a></td><td class="num"></td>';
      row.querySelector("a").textContent = item.path;
      row.querySelector("a").href = `${artifacts.dataset.source}/${item.path.split("/").map(encodeURIComponent).join("/")}`;
      row.lastElementChild.textContent = item.bytes.toLocaleString();
      table.querySelector("tbody").append(row);
    }
    list.replaceChildren(table);
  } catch (problem) {
    list.textContent = problem.message;
  }
}

read();
listArtifacts();
setInterval(() => document.hidden || read(), POLL_MS);
document.addEventListener("portal:updated", () => {
  listArtifacts();
  localTimes();
});
