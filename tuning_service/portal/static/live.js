// Keeps a page up to date. <meta name="live" content="jobs | job_… | poll"> says what it shows (poll: what tells no one): a stream tells when that has
// changed, and the page's block `live` is fetched, as HTML, and laid over what is there. Hidden pages are not kept up to
// date, they catch up when they are seen again: so open ones are few, and a browser's six connections last.
import { morph } from "./morph.js";

const GAP_MS = 400; // between two updates
const POLL_MS = 5000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const STEADY_MS = 10000; // a stream that lasted so long was well
const MOST_MEASURES = 500; // kept for who measures

export function startLive({ expired }) {
  const told = document.querySelector('meta[name="live"]');
  const topic = told?.content;
  const state = document.getElementById("live-state");
  let stream = null;
  let version = "";
  let tag = told?.dataset.tag || ""; // of the live part that is shown
  let failures = 0;
  let due = null;
  let running = false;
  let wanted = false;
  let retry = null;
  let polling = null;
  let over = false; // what the page shows is there no more
  let askedAt = -GAP_MS;
  let openedAt = 0;
  let measures = 0;

  const say = (kind, text) => {
    if (!state || (state.textContent === text && state.classList.contains(kind))) return;
    state.className = `live-state ${kind}`;
    state.textContent = text;
  };

  // True when the page is up to date.
  async function refresh() {
    if (over) return false;
    if (running) {
      wanted = true;
      return false;
    }
    running = true;
    askedAt = performance.now();
    wanted = false;
    const began = performance.now();
    try {
      const headers = { "X-Live": "1", "X-Version": version };
      if (tag) headers["If-None-Match"] = tag;
      const answer = await fetch(location.href, { headers });
      if (answer.status === 401) {
        close();
        say("off", "Signed out");
        await expired();
        [version, wanted] = ["", true];
        open();
      } else if (answer.status === 404 && topic?.startsWith("job_")) {
        gone();
      } else if (answer.ok) {
        const html = await answer.text();
        lay(html);
        tag = answer.headers.get("ETag") || "";
      } else if (answer.status !== 304 && answer.status >= 429) {
        throw new Error(`The service answered ${answer.status}.`);
      }
      if (topic === "poll") {
        failures = 0;
        say("on", "");
      }
      return !over;
    } catch {
      later();
      return false;
    } finally {
      running = false;
      if (measures > MOST_MEASURES) performance.clearMeasures("portal:update");
      measures = measures > MOST_MEASURES ? 0 : measures + 1;
      performance.measure("portal:update", { start: began });
      if (wanted) soon();
    }
  }

  // At once, when that was not done a moment ago.
  function soon() {
    due ??= setTimeout(run, Math.max(0, askedAt + GAP_MS - performance.now()));
  }

  function run() {
    due = null;
    refresh();
  }

  function lay(html) {
    const next = document.createElement("template");
    next.innerHTML = html;
    for (const section of next.content.querySelectorAll("[data-live]")) {
      const now = document.getElementById(section.id);
      if (now) morph(now, section);
    }
    document.dispatchEvent(new CustomEvent("portal:updated", { detail: { version } }));
  }

  function gone() {
    if (over) return;
    over = true;
    close();
    clearTimeout(retry);
    say("off", "Deleted");
    document.dispatchEvent(new Event("portal:gone"));
    const main = document.getElementById("main");
    main.inert = false;
    main.insertAdjacentHTML(
      "afterbegin",
      '<p class="notice warn" role="alert">This job was deleted. What you see is what was here last. <a href="/jobs">To the list of jobs</a></p>',
    );
  }

  function open() {
    if (stream || !topic || over || document.hidden) return;
    if (topic === "poll") {
      polling ??= setInterval(refresh, POLL_MS);
      return;
    }
    stream = new EventSource(`/live/${encodeURIComponent(topic)}`);
    openedAt = Infinity;
    stream.onopen = () => {
      openedAt = performance.now();
      say("on", "Live");
    };
    stream.onmessage = (event) => {
      version = event.data;
      soon();
    };
    stream.addEventListener("deleted", gone);
    stream.onerror = () => {
      close();
      if (performance.now() - openedAt > STEADY_MS) failures = 0;
      later();
    };
  }

  function close() {
    stream?.close();
    stream = null;
    clearInterval(polling);
    polling = null;
  }

  // The service may be starting again, this session or the job be over: the page's own address tells, and only when that
  // answers is there a stream to open. A hidden page waits until it is seen again.
  function later() {
    if (over || document.hidden) return;
    say("off", "Reconnecting…");
    retry ??= setTimeout(async () => {
      retry = null;
      failures += 1;
      version = "";
      if (!(await refresh())) later();
      else if (stream && openedAt < Infinity) say("on", "Live");
      else open();
    }, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]);
  }

  document.addEventListener("portal:refresh", () => {
    version = "";
    refresh();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      clearTimeout(retry);
      retry = null;
      return;
    }
    version = "";
    open();
    refresh();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && open());
  open();
}
