// Keeps a page up to date. <meta name="live" content="jobs | job_… | poll"> says what it shows (poll: what tells no one): a stream tells when that has
// changed, and the page's block `live` is fetched, as HTML, and laid over what is there. Hidden pages are not kept up to
// date, they catch up when they are seen again: so open ones are few, and a browser's six connections last.
import { morph } from "./morph.js";

const GAP_MS = 400; // between two updates
const POLL_MS = 5000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

export function startLive({ expired }) {
  const topic = document.querySelector('meta[name="live"]')?.content;
  const state = document.getElementById("live-state");
  let stream = null;
  let version = "";
  let tag = "";
  let failures = 0;
  let due = null;
  let running = false;
  let wanted = false;
  let retry = null;
  let polling = null;

  const say = (kind, text) => {
    if (!state || (state.textContent === text && state.classList.contains(kind))) return;
    state.className = `live-state ${kind}`;
    state.textContent = text;
  };

  async function refresh() {
    if (running) {
      wanted = true;
      return;
    }
    running = true;
    wanted = false;
    const began = performance.now();
    try {
      const headers = { "X-Live": "1", "X-Version": version };
      if (tag) headers["If-None-Match"] = tag;
      const answer = await fetch(location.href, { headers });
      if (answer.status === 401) {
        close();
        await expired();
        open();
      } else if (answer.status === 404 && topic?.startsWith("job_")) {
        close();
        gone();
      } else if (answer.ok) {
        const html = await answer.text();
        tag = answer.headers.get("ETag") || "";
        lay(html);
      }
      failures = 0;
    } catch {
      later();
    } finally {
      running = false;
      performance.measure("portal:update", { start: began });
      if (wanted) due ??= setTimeout(run, GAP_MS);
    }
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
    say("off", "Deleted");
    const main = document.getElementById("main");
    main.inert = false;
    main.insertAdjacentHTML(
      "afterbegin",
      '<p class="notice warn" role="alert">This job was deleted. What you see is what was here last. <a href="/jobs">To the list of jobs</a></p>',
    );
  }

  function open() {
    if (stream || !topic || document.hidden) return;
    if (topic === "poll") {
      polling ??= setInterval(refresh, POLL_MS);
      return;
    }
    stream = new EventSource(`/live/${encodeURIComponent(topic)}`);
    stream.onopen = () => {
      failures = 0;
      say("on", "Live");
    };
    stream.onmessage = (event) => {
      version = event.data;
      due ??= setTimeout(run, running ? GAP_MS : 0);
    };
    stream.addEventListener("deleted", () => {
      close();
      gone();
    });
    stream.onerror = () => {
      close();
      later();
    };
  }

  function close() {
    stream?.close();
    stream = null;
    clearInterval(polling);
    polling = null;
  }

  // The service may be starting again, or this session over: the page's own address tells.
  function later() {
    say("off", "Reconnecting…");
    if (retry) return;
    retry = setTimeout(async () => {
      retry = null;
      failures += 1;
      version = "";
      open();
      await refresh();
    }, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]);
  }

  document.addEventListener("portal:refresh", () => {
    version = "";
    refresh();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return close();
    version = "";
    open();
    return refresh();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && open());
  open();
}
