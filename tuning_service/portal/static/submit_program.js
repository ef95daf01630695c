// The program: uploading an archive or a folder, what is in it, and what its templates wait for.
import { api, element, escaped } from "./core.js";
import { packed } from "./archive.js";

const SHOWN_FILES = 200;
// A folder of so many times what is allowed would not fit, however well it packs.
const PACKS_TO = 20;

const mebibytes = (bytes) => (bytes < 2 ** 20 ? `${(bytes / 2 ** 10).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`);

function describe(entry) {
  if (!entry) return "";
  const { type, min, max, scale, values } = entry;
  if (values) return `one of ${values.join(", ")}`;
  return min === undefined ? type : `${min} to ${max}${scale && scale !== "linear" ? `, ${scale}` : ""}`;
}

export class Program {
  // `job` is the JobForm, `changed()` is called when a program was chosen or a parameter added.
  constructor(job, mostBytes, changed) {
    this.job = job;
    this.mostBytes = mostBytes;
    this.changed = changed;
    this.select = document.getElementById("program");
    this.state = document.getElementById("upload-state");
    this.list = document.getElementById("program-files");
    this.offers = document.getElementById("placeholders");
    this.usual = this.state.textContent;
    this.known = new Map();
    this.shownFor = "";
    this.uploading = null; // a promise while an upload is under way: whether it succeeds
    this.uploads = 0;
    for (const id of ["archive", "folder"]) {
      document.getElementById(id).addEventListener("change", (event) => {
        const files = [...event.target.files];
        event.target.value = ""; // so that the same one may be chosen again
        if (files.length) this.#upload(files, id === "folder");
        else this.#say("The folder is empty. Choose the one in which the program is.", true);
      });
    }
  }

  add({ digest, files }) {
    this.known.set(digest, files);
    if ([...this.select.options].some((option) => option.value === digest)) return;
    this.select.add(new Option(`${files.slice(0, 4).join(", ")} · ${digest.slice(0, 8)}`, digest), 1);
  }

  #say(text, isBad = false) {
    this.state.textContent = text;
    this.state.classList.toggle("field-error", isBad);
  }

  #upload(files, isFolder) {
    const mine = (this.uploads += 1);
    const isLast = () => mine === this.uploads; // of several at once the one that was begun last counts
    const work = this.#send(files, isFolder, isLast).catch((problem) => {
      if (isLast()) this.#say(problem.errors?.length ? problem.errors.map((each) => `${each.message[0].toUpperCase()}${each.message.slice(1)} ${each.remedy}`).join(" ") : problem.message, true);
      return false;
    });
    this.uploading = work;
    work.finally(() => {
      if (this.uploading === work) this.uploading = null;
    });
  }

  async #send(files, isFolder, isLast) {
    const what = isFolder ? "The folder" : files[0].name;
    const tooLarge = (size) => new Error(`${what} has ${mebibytes(size)}; ${mebibytes(this.mostBytes)} are allowed. Leave out data and checkpoints${isFolder ? ", or list them in a file .tuningignore" : ""}.`);
    let body = files[0];
    if (isFolder) {
      this.#say("Packing…");
      body = await packed(files, this.mostBytes * PACKS_TO, tooLarge);
    }
    if (body.size > this.mostBytes) throw tooLarge(body.size);
    if (!body.size) throw new Error(`${what} is empty. Choose a zip, tar or tar.gz.`);
    this.#say(`Uploading ${mebibytes(body.size)}…`);
    const made = await api("POST", "/v1/programs", body);
    this.add(made);
    if (!isLast()) return false;
    this.select.value = made.digest;
    this.#say(`Uploaded ${what === "The folder" ? "the folder" : what}: ${made.files.length} file${made.files.length === 1 ? "" : "s"}.`);
    this.#suggest(made.files);
    await this.chosen();
    this.changed();
    return true;
  }

  #suggest(files) {
    const command = this.job.form.querySelector('[data-path="command"]');
    const framework = this.job.form.querySelector('[data-path="framework"]');
    const top = files.filter((name) => /^[^/]+\.py$/.test(name));
    const script = ["train.py", "main.py"].find((name) => top.includes(name));
    if (!script && files.some((name) => /solver[^/]*\.prototxt$/.test(name))) framework.value = "caffe";
    else if (!command.value && (script || top.length === 1)) command.value = `python ${script || top[0]}`;
    this.job.tellCommand();
  }

  forget() {
    this.#say(this.usual);
  }

  // Shows what the chosen program holds.
  async chosen() {
    const digest = this.select.value;
    if (digest === this.shownFor) return;
    this.shownFor = digest;
    this.list.replaceChildren();
    this.offers.hidden = true;
    this.placeholders = [];
    if (!digest) return;
    try {
      if (!this.known.has(digest)) this.known.set(digest, (await api("GET", `/v1/programs/${encodeURIComponent(digest)}`)).files);
      const files = this.known.get(digest);
      const hasTemplates = files.some((name) => name.endsWith(".prototxt"));
      const found = hasTemplates ? (await api("GET", `/v1/programs/${encodeURIComponent(digest)}/placeholders`)).items : [];
      if (digest !== this.shownFor) return;
      this.#list(files);
      const seen = new Set();
      this.placeholders = found.filter((item) => !seen.has(item.name) && seen.add(item.name));
      this.offer();
    } catch {
      // That there is no such program, the preview says beside the field.
    }
  }

  #list(files) {
    const more = files.length - SHOWN_FILES;
    this.list.innerHTML = `<details><summary>${files.length} file${files.length === 1 ? "" : "s"}</summary><ul class="files">${files
      .slice(0, SHOWN_FILES)
      .map((name) => `<li>${escaped(name)}</li>`)
      .join("")}${more > 0 ? `<li class="muted">and ${more.toLocaleString("en")} more</li>` : ""}</ul></details>`;
  }

  // What the templates wait for and is no parameter yet.
  offer() {
    const names = new Set(Object.keys(this.job.space.read()));
    const open = (this.placeholders || []).filter((item) => !names.has(item.name));
    const key = open.map((item) => item.name).join();
    if (!this.offers.hidden && this.offers.dataset.key === key) return;
    this.offers.dataset.key = key;
    this.offers.hidden = !open.length;
    if (!open.length) return;
    const hadFocus = this.offers.contains(document.activeElement);
    this.offers.innerHTML = '<p>The templates of this program wait for values:</p><ul class="plain"></ul><div class="buttons"></div>';
    const add = (items) => {
      for (const item of items) this.job.space.add(item.name, item.parameter || { type: "float" });
      this.job.space.arrange();
      this.offer();
      this.changed();
    };
    for (const item of open) {
      const row = element('<li><button type="button"></button> <span class="muted"></span></li>');
      row.querySelector("button").textContent = `Add ${item.name}`;
      row.querySelector("span").textContent = [describe(item.parameter), `${item.file}, line ${item.line}`].filter(Boolean).join(" · ");
      row.querySelector("button").addEventListener("click", () => add([item]));
      this.offers.querySelector("ul").append(row);
    }
    if (open.length > 1) {
      const every = element('<button type="button"></button>');
      every.textContent = `Add all ${open.length}`;
      every.addEventListener("click", () => add(open));
      this.offers.querySelector(".buttons").append(every);
    }
    if (hadFocus) this.offers.querySelector("button").focus();
  }
}
