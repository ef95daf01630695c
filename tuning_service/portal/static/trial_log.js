// A log as it comes, of any length: the page holds a window of it, in blocks of whole lines. A block keeps its bytes, so
// that what is read later (the rest of a line, of a character, of an escape sequence) is put in its place.
import { api, signInAgain } from "./core.js";

const BLOCK = 256 * 1024; // bytes
const MOST_BLOCKS = 4; // that the page holds
const POLL_MS = 1000;
const SLOWEST_MS = 10000; // between two tries while the service does not answer
const FOUND_AT_ONCE = 200; // matches
const END = 2 ** 53 - 1;

// What a terminal would show of it: no escape sequences, no control characters, and of a line that was written over and
// over (a progress bar) what stood there last.
export function readable(text) {
  const plain = text
    .replace(/\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[PX^_][^\x1b\n]*(?:\x1b\\)?|(?![[\]PX^_])[ -/]*[0-~])/g, "")
    .replace(/\x1b(?:\[[0-?]*[ -/]*)?$/, "")
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g, "");
  if (!plain.includes("\r")) return plain;
  return plain
    .split("\n")
    .map((line) => (line.includes("\r") ? (line.split("\r").findLast((part) => part !== "") ?? "") : line))
    .join("\n");
}

// As words.py writes it.
export function size(count) {
  let left = count;
  for (const unit of ["bytes", "KiB", "MiB", "GiB"]) {
    if (left < 1024) return `${unit === "bytes" || left >= 100 ? left.toFixed(0) : left.toFixed(1)} ${unit}`;
    left /= 1024;
  }
  return `${left.toFixed(1)} TiB`;
}

// Whole characters only: what has begun at the end is left for later.
const decoded = (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes, { stream: true });

// A piece of a log without the rest of a line that began before it; with that where no other line begins.
function whole({ bytes, start }) {
  const line = start > 0 ? bytes.indexOf(10) + 1 : 0;
  return line < bytes.length ? { bytes: bytes.subarray(line), start: start + line } : { bytes, start };
}

function joined(first, second) {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

// So many bytes of `bytes`, more than `most`, as are whole lines or at least whole characters.
function cut(bytes, most) {
  const line = bytes.lastIndexOf(10, most - 1) + 1;
  if (line > 0) return line;
  let at = most;
  while (at > most - 4 && (bytes[at] & 0xc0) === 0x80) at -= 1;
  return at;
}

class Block {
  constructor(start, bytes) {
    this.start = start;
    this.bytes = bytes;
    this.node = document.createTextNode("");
    this.box = document.createElement("div");
    this.box.append(this.node);
    this.draw();
  }

  get end() {
    return this.start + this.bytes.length;
  }

  // Changes only what differs, so that what is selected or marked before stays so.
  draw() {
    const next = readable(decoded(this.bytes));
    const now = this.node.data;
    if (next.startsWith(now)) return this.node.appendData(next.slice(now.length));
    let same = Math.max(0, now.lastIndexOf("\n") + 1);
    if (!next.startsWith(now.slice(0, same))) same = 0;
    this.node.replaceData(same, now.length - same, next.slice(same));
    return undefined;
  }

  // Where a match stands in what is shown: [from, to]; of a line that was written over since, all of the line.
  place(offset, text) {
    const at = offset - this.start;
    const shown = this.node.data;
    const exact = readable(decoded(this.bytes.subarray(0, at))).length;
    const same = (from) => shown.slice(from, from + text.length).toLowerCase() === text.toLowerCase();
    if (same(exact)) return [exact, exact + text.length, true];
    const line = readable(decoded(this.bytes.subarray(0, this.bytes.lastIndexOf(10, at - 1) + 1))).length;
    const newline = shown.indexOf("\n", line);
    const end = newline < 0 ? shown.length : newline;
    for (let from = line; from + text.length <= end; from += 1) if (same(from)) return [from, from + text.length, true];
    return [line, end, false];
  }
}

export class TrialLog {
  constructor(section) {
    const part = (name) => section.querySelector(`#log-${name}`);
    this.source = section.dataset.source;
    this.text = part("text");
    this.state = part("state");
    this.problem = part("problem");
    this.follow = part("follow");
    this.earlierButton = part("earlier");
    this.laterButton = part("later");
    this.download = part("download");
    this.of = part("of");
    this.field = part("search");
    this.found = part("found");
    this.task = "";
    this.closed = false;
    this.turn = 0; // of the execution that is shown: what was asked for another one comes too late
    this.clear();
    this.listen(section, part);
  }

  clear() {
    this.turn += 1;
    this.blocks = [];
    this.text.replaceChildren();
    this.top = 0;
    this.total = 0;
    this.complete = false;
    this.begun = false;
    this.failures = 0;
    this.working = Promise.resolve();
    this.forgetMatches();
    clearTimeout(this.timer);
  }

  listen(section, part) {
    part("wrap").addEventListener("change", (event) => {
      this.text.classList.toggle("wrap", event.target.checked);
      this.toEnd();
    });
    this.follow.addEventListener("change", () => this.follow.checked && this.do(() => this.tail()));
    this.earlierButton.addEventListener("click", () => this.do(() => this.earlier()));
    this.laterButton.addEventListener("click", () => this.do(() => this.later()));
    this.text.addEventListener("scroll", () => {
      // Who scrolls up wants to read on, who comes back to the end to follow.
      const top = this.text.scrollTop;
      if (top < this.top - 4) this.follow.checked = false;
      else if (top > this.top && this.atEnd && top + this.text.clientHeight > this.text.scrollHeight - 8) this.follow.checked = true;
      this.top = top;
    });
    section.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.do(() => this.go(1));
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !event.shiftKey) return;
      event.preventDefault();
      this.do(() => this.go(-1));
    });
    this.field.addEventListener("input", () => this.field.value || this.forgetMatches());
    part("previous").addEventListener("click", () => this.do(() => this.go(-1)));
    document.addEventListener("visibilitychange", () => document.hidden || this.read());
  }

  // Shows the log of the execution of this number; "" while there is none.
  show(task, open) {
    this.open = open;
    if (this.closed) return;
    if (task !== this.task) {
      this.clear();
      this.task = task;
      const several = document.querySelectorAll("#trial-tasks tbody tr").length > 1;
      this.of.textContent = several ? `of execution ${task}` : "";
      const address = new URL(this.download.href);
      address.searchParams.set("task", task);
      this.download.href = address.pathname + address.search;
    }
    this.download.hidden = task === "";
    if (task === "") this.state.textContent = open ? "Not started yet." : "There is none: it was never started.";
    else this.read();
  }

  close(reason) {
    this.closed = true;
    clearTimeout(this.timer);
    this.problem.textContent = reason;
    this.download.hidden = true;
  }

  // One thing after another, since each changes what the next begins with.
  do(action) {
    const { turn } = this;
    this.working = this.working.then(async () => {
      if (turn !== this.turn || this.closed) return;
      try {
        await action();
        if (turn !== this.turn) return;
        this.failures = 0;
        if (!this.closed) this.problem.textContent = "";
      } catch (error) {
        if (turn !== this.turn || this.closed) return;
        this.failures += 1;
        this.problem.textContent = error.message;
      }
      if (turn === this.turn) this.say();
    });
    return this.working;
  }

  async read() {
    clearTimeout(this.timer);
    if (this.task === "" || this.closed || document.hidden || (this.complete && this.begun) || this.reading === this.turn) return;
    const { turn } = this;
    this.reading = turn;
    await this.do(() => this.more());
    if (this.reading === turn) this.reading = 0;
    if (turn !== this.turn || this.complete || this.closed) return;
    this.timer = setTimeout(() => this.read(), Math.min(SLOWEST_MS, POLL_MS * 2 ** this.failures));
  }

  get from() {
    return this.blocks[0]?.start ?? 0;
  }

  get to() {
    return this.blocks.at(-1)?.end ?? 0;
  }

  // The page has all up to the end, as far as it knows that.
  get atEnd() {
    return this.to >= this.total;
  }

  async piece(start, length) {
    const { turn } = this;
    const query = new URLSearchParams({ start, length, task: this.task });
    let answer;
    try {
      answer = await fetch(`${this.source}?${query}`);
    } catch {
      throw new Error("The service cannot be reached: the log goes on when it is there again.");
    }
    if (answer.status === 401) {
      await signInAgain();
      return this.piece(start, length);
    }
    if (answer.status === 404) {
      this.close("The log is not there any more.");
      throw new Error("gone");
    }
    if (!answer.ok) throw new Error(`The log could not be read just now (${answer.status}).`);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (turn !== this.turn) throw new Error("too late");
    this.total = Number(answer.headers.get("X-Log-Total"));
    this.complete = answer.headers.get("X-Log-Complete") === "true";
    return { bytes, start: Number(answer.headers.get("X-Log-Start")) };
  }

  // What has come since.
  async more() {
    if (!this.begun) return this.tail();
    if (!this.atEnd) {
      await this.piece(this.to, 0); // in the midst: only how much there is
      return undefined;
    }
    const before = this.to;
    await this.next();
    if (this.atEnd) return undefined;
    if (!this.follow.checked) return undefined;
    // Further behind than the page holds: what lies between would pass unread.
    if (this.total - before > BLOCK * MOST_BLOCKS) return this.tail();
    while (!this.atEnd && this.to > before) await this.next();
    return undefined;
  }

  async next() {
    const got = await this.piece(this.to, BLOCK);
    this.append(got.bytes);
    return got;
  }

  // The end, and nothing else.
  async tail() {
    if (this.begun && this.atEnd) return this.toEnd();
    this.restart(whole(await this.piece(-BLOCK, BLOCK)));
    this.toEnd();
    return undefined;
  }

  restart({ bytes, start }) {
    this.blocks = [];
    this.text.replaceChildren();
    this.begun = true;
    this.add(new Block(start, bytes), null);
  }

  add(block, before) {
    this.blocks[before ? "unshift" : "push"](block);
    this.text.insertBefore(block.box, before);
  }

  // What follows what is there. The page's first blocks make room for it where `sliding`, else it is taken as far as there
  // is room, and read again when it is wanted. Gives the height of what went.
  append(bytes, sliding = this.follow.checked) {
    if (!bytes.length) return 0;
    let block = this.blocks.at(-1);
    let { start } = block;
    let all = joined(block.bytes, bytes);
    while (all.length > BLOCK) {
      const length = cut(all, BLOCK);
      this.fill(block, start, all.subarray(0, length));
      if (!sliding && this.blocks.length >= MOST_BLOCKS) return 0;
      [all, start, block] = [all.subarray(length), start + length, null];
    }
    this.fill(block, start, all);
    let gone = 0;
    while (this.blocks.length > MOST_BLOCKS) {
      const { box } = this.blocks.shift();
      gone += box.offsetHeight;
      box.remove();
    }
    this.toEnd();
    return gone;
  }

  fill(block, start, bytes) {
    if (!block) return this.add(new Block(start, bytes.slice()), null);
    block.bytes = bytes.slice();
    block.draw();
    return undefined;
  }

  async earlier() {
    this.follow.checked = false;
    const until = this.from;
    const from = Math.max(0, until - BLOCK);
    const { bytes, start } = whole(await this.piece(from, until - from));
    const before = this.text.scrollHeight - this.text.scrollTop;
    this.add(new Block(start, bytes), this.blocks[0].box);
    while (this.blocks.length > MOST_BLOCKS) this.blocks.pop().box.remove();
    this.scroll(this.text.scrollHeight - before);
  }

  async later() {
    const { bytes } = await this.piece(this.to, BLOCK);
    const top = this.text.scrollTop;
    this.scroll(Math.max(0, top - this.append(bytes, true)));
  }

  scroll(top) {
    this.text.scrollTop = top;
    this.top = this.text.scrollTop;
  }

  toEnd() {
    if (this.follow.checked) this.scroll(this.text.scrollHeight);
  }

  say() {
    const { total } = this;
    this.earlierButton.hidden = this.from === 0;
    this.laterButton.hidden = this.atEnd;
    if (!this.begun) return;
    if (!total) this.state.textContent = this.complete ? "It printed nothing." : "Nothing printed yet.";
    else if (this.from > 0 || !this.atEnd) this.state.textContent = `${size(this.from)} to ${size(this.to)} of ${size(total)}${this.complete ? "" : " so far"} are shown.`;
    else this.state.textContent = `${size(total)}${this.complete ? ", complete." : " so far."}`;
  }

  // -- search: over the whole log, on the server

  forgetMatches() {
    this.searched = "";
    this.matches = [];
    this.first = 0; // which of all matches is the first of `matches`
    this.at = -1; // which of `matches` is shown
    this.found.textContent = "";
    CSS.highlights?.delete("log-match");
  }

  async ask(fields) {
    const query = new URLSearchParams({ q: this.searched, task: this.task, limit: FOUND_AT_ONCE, ...fields });
    const answer = await api("GET", `${this.source}/search?${query}`);
    this.matches = answer.matches;
    this.lines = answer.total;
    this.searchedAll = !answer.stopped_early;
    this.searchedBytes = answer.searched;
  }

  // From the shown match to the next one, or with -1 to the one before; around the ends.
  async go(step) {
    if (!this.field.value || this.task === "") return;
    if (this.field.value !== this.searched) {
      this.forgetMatches();
      this.searched = this.field.value;
    }
    this.found.textContent ||= "Searching…";
    try {
      await this.step(step);
    } catch (error) {
      this.forgetMatches();
      throw error;
    }
    const beyond = this.searchedAll ? "" : ` in the first ${size(this.searchedBytes)}`;
    if (!this.matches.length) {
      this.found.textContent = `Not found${beyond}.`;
      CSS.highlights?.delete("log-match");
      return;
    }
    const match = this.matches[this.at];
    const seen = await this.reveal(match);
    const nth = `${(this.first + this.at + 1).toLocaleString("en")} of ${this.lines.toLocaleString("en")}${beyond}`;
    this.found.textContent = `${nth}: line ${match.line.toLocaleString("en")}${seen ? "" : ", in what was written over"}`;
  }

  async step(step) {
    const next = this.at + step;
    if (this.at >= 0 && next >= 0 && next < this.matches.length) {
      this.at = next;
      return;
    }
    if (step > 0) {
      const behind = this.at < 0 ? 0 : this.first + this.matches.length;
      // All that there were are here: those that came meanwhile are asked for with them.
      const all = this.first === 0 && behind < FOUND_AT_ONCE;
      if (!all) await this.ask({ after: this.matches.at(-1).offset });
      this.first = all ? 0 : behind;
      if (all || !this.matches.length) {
        await this.ask({});
        this.first = 0;
      }
      this.at = all && behind < this.matches.length ? behind : 0;
    } else {
      await this.ask({ before: this.at >= 0 && this.first > 0 ? this.matches[0].offset : END - 1 });
      this.first = this.at >= 0 && this.first > 0 ? this.first - this.matches.length : this.lines - this.matches.length;
      this.at = this.matches.length - 1;
    }
  }

  // Brings a match into sight; false when a terminal would not show it any more.
  async reveal({ offset }) {
    this.follow.checked = false;
    if (!this.begun || offset < this.from || offset >= this.to) {
      const got = await this.piece(Math.max(0, offset - BLOCK / 2), BLOCK);
      // The match's own line is not cut off, however long it is.
      const trimmed = whole(got);
      this.restart(trimmed.start <= offset ? trimmed : got);
    }
    const block = this.blocks.find((each) => offset < each.end);
    const [from, to, seen] = block.place(offset, this.searched);
    const range = document.createRange();
    range.setStart(block.node, from);
    range.setEnd(block.node, to);
    if (CSS.highlights) CSS.highlights.set("log-match", new Highlight(range));
    else getSelection().setBaseAndExtent(block.node, from, block.node, to);
    const box = range.getBoundingClientRect();
    const frame = this.text.getBoundingClientRect();
    this.scroll(this.text.scrollTop + box.top - frame.top - this.text.clientHeight / 2);
    if (box.right > frame.right || box.left < frame.left) this.text.scrollLeft += box.left - frame.left - this.text.clientWidth / 3;
    return seen;
  }
}
