// What all pages share: calls of REST, dialogs, buttons that act, the theme, times. Each page's module builds on this.
import { startLive } from "./live.js";
import { startCharts } from "./charts.js";

const meta = (name) => document.querySelector(`meta[name="${name}"]`);

// A problem document (RFC 9457) of the service. `errors` are {field, message, remedy}.
class ApiProblem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || `The service answered ${status}.`);
    this.status = status;
    this.errors = document.errors || [];
  }
}

// Calls REST, and gives the answer's JSON (null when there is none). Throws ApiProblem. When the session has expired it
// asks to sign in again and then goes on, so that nothing of what was being done is lost.
export async function api(method, path, body, { signal, again = true, headers: more = {} } = {}) {
  const headers = { Accept: "application/json", ...more };
  const csrf = meta("csrf")?.content;
  if (csrf && method !== "GET") headers["X-CSRF-Token"] = csrf;
  let content = body;
  if (body !== undefined && !(body instanceof FormData) && !(body instanceof Blob)) {
    headers["Content-Type"] = "application/json";
    content = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: content, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiProblem(0, { detail: "The service cannot be reached. Nothing was lost: try again in a moment." });
  }
  if (answer.status === 401 && again && path !== "/v1/session") {
    await signInAgain();
    return api(method, path, body, { signal, again: false, headers: more });
  }
  if (answer.status === 403 && again && csrf && method !== "GET" && (await renewed(csrf))) {
    return api(method, path, body, { signal, again: false, headers: more });
  }
  const text = await answer.text();
  let data = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    data = answer.ok ? text : null;
  }
  if (!answer.ok) throw new ApiProblem(answer.status, data || {});
  return data;
}

// Whether the browser has another session by now, from another of its pages, with a token of its own.
async function renewed(csrf) {
  const session = await api("GET", "/v1/session");
  if (session.csrf === csrf) return false;
  if (isForeign(session)) throw new ApiProblem(403, { detail: "This browser is signed in to another tenant by now. Load the page again to go on there." });
  meta("csrf").content = session.csrf;
  return true;
}

// What the page shows is not for whoever has that session.
const isForeign = ({ principal }) => "tenant" in (meta("csrf")?.dataset ?? {}) && meta("csrf").dataset.tenant !== (principal.tenant ?? "");

// Signs in with {key} or {tenant, name, password}.
export async function signIn(fields) {
  const session = await api("POST", "/v1/session", fields);
  await goOnWith(session);
  return session;
}

async function goOnWith(session) {
  if (isForeign(session)) {
    location.reload();
    await new Promise(() => {}); // nothing of what was under way goes on
  }
  meta("csrf")?.setAttribute("content", session.csrf);
}

// False where there is none. One of this browser's other pages may have signed in while a request with the session
// before was on its way.
async function anotherSession() {
  try {
    await goOnWith(await api("GET", "/v1/session"));
    return true;
  } catch {
    return false;
  }
}

let signingIn = null;

// One dialog, however many calls have found that the session is over; resolved when somebody has signed in.
export function signInAgain() {
  signingIn ??= anotherSession()
    .then((there) => there || askedToSignIn())
    .finally(() => {
      signingIn = null;
    });
  return signingIn;
}

function askedToSignIn() {
  return new Promise((resolve) => {
    const dialog = show(`
      <form method="dialog" novalidate>
        <h2>Your session has expired</h2>
        <p>Sign in again to go on. What you have entered is kept.</p>
        <label class="field">Tenant <input name="tenant" autocomplete="organization" autocapitalize="none" spellcheck="false"></label>
        <label class="field">Name <input name="name" autocomplete="username" autocapitalize="none" spellcheck="false"></label>
        <label class="field">Password <input name="password" type="password" autocomplete="current-password"></label>
        <p class="muted">or</p>
        <label class="field">API key <input name="key" type="password" autocomplete="off" placeholder="tsk_…"></label>
        <p class="form-error" role="alert" hidden></p>
        <div class="buttons"><button type="submit" class="primary">Sign in</button></div>
      </form>`);
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    // The second press would close it all the same, and what waits for it would wait for ever.
    dialog.addEventListener("keydown", (event) => event.key === "Escape" && event.preventDefault());
    const form = dialog.querySelector("form");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const { tenant, name, password, key } = form.elements;
      const fields = key.value
        ? { key: key.value.trim() }
        : { tenant: tenant.value.trim(), name: name.value.trim(), password: password.value };
      try {
        await signIn(fields);
        dialog.close(); // which gives the focus back to where it was
        resolve();
      } catch (problem) {
        const error = form.querySelector(".form-error");
        error.textContent = problem.message;
        error.hidden = false;
      }
    });
  });
}

// An element from text. Values are put in with textContent afterwards, or through `escaped`.
export function element(html) {
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  return template.content.firstElementChild;
}

export function escaped(text) {
  const span = document.createElement("span");
  span.textContent = String(text);
  return span.innerHTML.replaceAll('"', "&quot;");
}

function show(html) {
  const dialog = document.createElement("dialog");
  dialog.innerHTML = html;
  const title = dialog.querySelector("h2");
  if (title) {
    title.id = `title-${Math.random().toString(36).slice(2)}`;
    dialog.setAttribute("aria-labelledby", title.id);
  }
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}

// Asks; true when the answer is yes. `details` is text that may be long.
export function confirmed(question, { details = "", yes = "Yes", danger = false } = {}) {
  return new Promise((resolve) => {
    const dialog = show(`
      <form method="dialog">
        <h2></h2><p></p>
        <div class="buttons">
          <button value="no" formnovalidate>Cancel</button>
          <button value="yes" class="${danger ? "danger" : "primary"}"></button>
        </div>
      </form>`);
    dialog.querySelector("h2").textContent = question;
    dialog.querySelector("p").textContent = details;
    dialog.querySelector('[value="yes"]').textContent = yes;
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"));
  });
}

// A dialog with a form of the page's own: `html` holds its fields, `act(FormData, dialog)` what is done with them; what
// it throws is shown beside the fields that it names, and the dialog stays.
export function ask(title, html, { yes = "Save", act }) {
  return new Promise((resolve) => {
    const dialog = show(`
      <form novalidate>
        <h2></h2>${html}
        <p class="form-error" role="alert" hidden></p>
        <div class="buttons"><button type="button" data-cancel>Cancel</button><button type="submit" class="primary"></button></div>
      </form>`);
    dialog.querySelector("h2").textContent = title;
    const form = dialog.querySelector("form");
    const submit = form.querySelector('[type="submit"]');
    submit.textContent = yes;
    form.querySelector("[data-cancel]").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => resolve(null));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      submit.disabled = true;
      try {
        const done = await act(new FormData(form), dialog);
        resolve(done ?? true);
        dialog.close();
      } catch (problem) {
        showProblems(form, problem);
      } finally {
        submit.disabled = false;
      }
    });
  });
}

// Shows what a call refused: each problem beside the input that has its field's name (or data-field), the rest below.
export function showProblems(form, problem) {
  for (const old of form.querySelectorAll(".field-error")) old.remove();
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  const rest = [];
  let first = null;
  for (const { field, message, remedy } of problem.errors || []) {
    const parts = field.replace(/(\.\d+)+$/, "").split("."); // of an item of a list: the list
    const input =
      form.querySelector(`[data-field="${CSS.escape(field)}"], [name="${CSS.escape(field)}"]`) ||
      form.querySelector(`[name="${CSS.escape(parts.at(-1))}"]`) ||
      form.querySelector(`[name="${CSS.escape(parts[0])}"]`); // an entry of what is written as JSON
    if (!input) {
      rest.push(`${field}: ${message} ${remedy || ""}`);
      continue;
    }
    const text = element('<span class="field-error" role="alert"></span>');
    text.textContent = `${message[0].toUpperCase()}${message.slice(1)} ${remedy || ""}`;
    text.id = `error-${field.replaceAll(/\W/g, "-")}`;
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", text.id);
    input.after(text);
    first ??= input;
  }
  const error = form.querySelector(".form-error");
  if (error) {
    error.textContent = rest.join("\n") || (first ? "" : problem.message);
    error.hidden = !error.textContent;
  }
  first?.focus();
}

// A short message at the edge of the page.
export function toast(text, kind = "") {
  const item = document.createElement("div");
  item.className = `toast ${kind}`;
  item.textContent = text;
  document.getElementById("toasts").append(item);
  setTimeout(() => item.remove(), kind === "bad" ? 12000 : 5000);
}

export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    const dialog = show('<form method="dialog"><h2>Copy this</h2><textarea rows="14" readonly></textarea><div class="buttons"><button>Close</button></div></form>');
    dialog.querySelector("textarea").value = text;
    dialog.querySelector("textarea").select();
  }
}

// <button data-method="POST" data-path="/v1/…" [data-body='{…}'] [data-confirm="Stop this job?"] [data-details="…"]
//  [data-yes="Stop"] [data-danger] [data-then="/jobs"] [data-done="Stopping."]>: calls REST, then goes on or refreshes.
async function act(button) {
  const { method, path, body, confirm, details, yes, then, done } = button.dataset;
  const danger = "danger" in button.dataset;
  if (confirm && !(await confirmed(confirm, { details, yes: yes || button.textContent.trim(), danger }))) return;
  button.disabled = true;
  try {
    await api(method, path, body === undefined ? undefined : JSON.parse(body));
    if (done) toast(done);
    if (then) location.assign(then);
    else document.dispatchEvent(new Event("portal:refresh"));
  } catch (problem) {
    toast(problem.message, "bad");
  } finally {
    button.disabled = false;
  }
}

// Times in the reader's own zone; the exact one on hover.
function localTimes() {
  const same = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const other = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const today = new Date().toDateString();
  for (const time of document.querySelectorAll("time[data-moment]")) {
    const at = new Date(time.dateTime);
    time.textContent = (at.toDateString() === today ? same : other).format(at);
    time.title = at.toISOString();
  }
}

// As portal/words.py writes them.
export function number(value, digits = 5) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return { nan: "NaN", inf: "∞", "-inf": "−∞" }[value] ?? value;
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return Math.abs(value) >= 10000 ? value.toLocaleString("en") : String(value).replace("-", "−");
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-4 || size >= 10 ** digits) ? value.toExponential(digits - 1).replace(/\.?0+e/, "e") : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−");
}

function startTheme() {
  document.getElementById("theme")?.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = `tuning_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
    document.dispatchEvent(new Event("portal:theme"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("portal:theme")));
}

async function signOut() {
  try {
    await api("DELETE", "/v1/session", undefined, { again: false });
  } catch (problem) {
    if (problem.status !== 401) return toast(problem.message, "bad");
  }
  location.assign("/sign-in");
  return undefined;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-method]:not([data-dialog])");
  if (button) act(button);
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
document.getElementById("sign-out")?.addEventListener("click", signOut);
startTheme();
document.querySelector('nav [aria-current="page"]')?.scrollIntoView({ block: "nearest", inline: "center" }); // on a phone not all fit
localTimes();
document.addEventListener("portal:updated", localTimes);
startCharts();
startLive({ expired: signInAgain });
