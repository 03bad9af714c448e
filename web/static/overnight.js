// What pages can do besides: follow the ledger, and obey a few keys. Every page works without this file.
(() => {
  "use strict";
  const MOST_OFTEN = 400, CHECK = 60000;
  const own = document.body.dataset.pipeline || "";
  let due = 0, last = 0, busy = false;

  const typing = () => ["INPUT", "SELECT", "TEXTAREA"].includes((document.activeElement || {}).tagName);

  // What was open, scrolled and focused stays so when the content is replaced.
  function remember(main) {
    const links = [...main.querySelectorAll("a, button, summary, .scroll")];
    return {
      open: [...main.querySelectorAll("details")].map((one) => one.open),
      left: [...main.querySelectorAll(".scroll")].map((one) => one.scrollLeft),
      focus: links.indexOf(document.activeElement),
    };
  }

  function recall(main, kept) {
    main.querySelectorAll("details").forEach((one, place) => { one.open = kept.open[place] || false; });
    main.querySelectorAll(".scroll").forEach((one, place) => { one.scrollLeft = kept.left[place] || 0; });
    const again = [...main.querySelectorAll("a, button, summary, .scroll")][kept.focus];
    if (again) again.focus({ preventScroll: true });
  }

  async function refresh() {
    due = 0;
    if (busy) { soon(); return; }
    busy = true;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { cache: "no-cache", headers: { Accept: "text/html" } });
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const now = document.getElementById("main"), next = page.getElementById("main");
      if (!next || now.innerHTML === next.innerHTML) return;
      if (document.body.dataset.live === "told" || (typing() && now.contains(document.activeElement))) {
        document.getElementById("told").hidden = false;
        return;
      }
      const kept = remember(now);
      now.replaceWith(next);
      recall(next, kept);
      document.title = page.title;
      document.getElementById("status").textContent = "This page has just been brought up to date.";
    } catch { /* the web is away for a moment; the next event or check asks again */ } finally { busy = false; }
  }

  function soon() {
    if (!due) due = setTimeout(refresh, Math.max(50, last + MOST_OFTEN - Date.now()));
  }

  function hear(event) {
    let said = {};
    try { said = JSON.parse(event.data); } catch { /* then it may be about this page */ }
    if (!own || !said.pipeline || said.pipeline === own) soon();
  }

  let stream = null;
  function follow() {
    if (stream || !("EventSource" in window) || !("live" in document.body.dataset)) return;
    stream = new EventSource("/events");
    for (const name of ["published", "run", "stage_run", "verdict", "alias_move", "quality", "pipeline", "batch", "changed"]) {
      stream.addEventListener(name, hear);
    }
  }
  function rest() { if (stream) { stream.close(); stream = null; } }

  follow();
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => { if (event.persisted) { follow(); soon(); } });
  // A deadline passes without anybody saying so.
  if ("live" in document.body.dataset) setInterval(() => { if (!document.hidden) soon(); }, CHECK);

  // Keys: / to the search box, j and k through rows and nights, n to the next page, p back.
  function step(by) {
    const all = [...document.querySelectorAll("main tbody th a, main .tile, main .card h2 a, main .hits a")].filter((one) => one.offsetParent);
    const at = all.indexOf(document.activeElement);
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by];
    if (next) next.focus();
  }
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing()) return;
    const next = document.querySelector("a[rel=next]");
    if (event.key === "/") document.getElementById("q").focus();
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "n" && next) next.click();
    else if (event.key === "p" && new URLSearchParams(location.search).has("after")) history.back();
    else return;
    event.preventDefault();
  });
})();
