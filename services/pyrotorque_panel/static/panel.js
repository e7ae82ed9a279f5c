// Keeps a page current: a message says that something changed, then htmx fetches the page again and morphs it in place, so that
// what a person types and where the focus is stay. Without scripts a page is the same, as of its loading. This file runs before
// htmx does: a connection is noticed, however early it is made.
"use strict";
const SHORTEST = 100; // milliseconds between two refreshes, doubled up to LONGEST while more and more happens
const LONGEST = 1000;
const stream = document.getElementById("stream");
let busy = false;
let again = false;
let pause = SHORTEST;

// A button that its own action has removed leaves the focus nowhere: the content gets it.
let focused = null;
document.addEventListener("focusin", (event) => { focused = event.target; });
document.addEventListener("htmx:after:swap", () => {
  if (focused && !focused.isConnected && document.activeElement === document.body) {
    document.getElementById("main").focus({preventScroll: true});
  }
});

// The page after a form is newer than that of a refresh which began before it came: that one is left out, and fetched again.
// Each request notes what was shown when it was sent: htmx may send one later than it was asked to.
let forms = 0;
const seen = new WeakMap();
document.addEventListener("htmx:before:request", ({detail}) => { seen.set(detail.ctx, forms); });
document.addEventListener("htmx:before:swap", (event) => {
  const {ctx} = event.detail;
  if (ctx.sourceElement !== stream) {
    forms += 1;
  } else if (ctx.select && seen.get(ctx) !== forms) {
    event.preventDefault();
    refresh();
  }
});

// The second click of a double click, and a key that is held, do nothing: the page after the first one may be shifted, so that the
// button of another job or item is there.
const isAction = (event) => event.target instanceof Element && event.target.closest("form[method=post] button");
document.addEventListener("click", (event) => { if (event.detail > 1 && isAction(event)) event.preventDefault(); }, true);
document.addEventListener("keydown", (event) => { if (event.repeat && isAction(event)) event.preventDefault(); }, true);

async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    await htmx.ajax("GET", location.href, {source: "#stream", target: "#page", select: "#page", swap: "outerMorph"});
  } catch { /* the next message tries again */ }
  setTimeout(() => {
    busy = false;
    pause = again ? Math.min(2 * pause, LONGEST) : SHORTEST;
    if (again) { again = false; refresh(); }
  }, pause);
}

// An answer without the place for it, such as an error, may have replaced the page: the next page has a new place.
let shown = "";
function show(text) {
  shown = text;
  const live = document.getElementById("live");
  if (!live || live.textContent === text) return;
  live.textContent = text;
  live.classList.toggle("lost", text !== "live");
}
document.addEventListener("htmx:after:swap", () => { if (shown) show(shown); });

// What is asked of the services may be a second old when something happens: look once more.
let later = 0;
function changed(event) {
  const data = event.detail?.data || "";
  if (!data.includes("Answered") && !data.includes("Sampled")) {
    clearTimeout(later);
    later = setTimeout(refresh, 1200);
  }
  refresh();
}

if (stream) {
  stream.addEventListener("changed", changed);
  stream.addEventListener("gap", refresh);
  document.addEventListener("htmx:sse:after:connection", () => {
    show("live");
    setTimeout(refresh); // htmx still counts the connection as a request, and would not wait for another one
  });
  document.addEventListener("htmx:sse:error", () => show("connection lost, trying again"));
  document.addEventListener("htmx:sse:before:connection", (event) => {
    if (event.detail.connection.attempt > 0) show("connection lost, trying again");
  });
}

// Metafiles that are dropped anywhere on a page with a form for them go into that form, which then is sent. Elsewhere a drop does
// nothing: the browser would leave the page for the file.
const hasFiles = (event) => Boolean(event.dataTransfer) && event.dataTransfer.types.includes("Files");
const mark = (over) => document.querySelectorAll("form.drop").forEach((form) => form.classList.toggle("over", over));
document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = document.querySelector("form.drop") ? "copy" : "none";
  mark(true);
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
document.addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  mark(false);
  const form = document.querySelector("form.drop");
  if (!form || !event.dataTransfer.files.length) return;
  form.querySelector("input[type=file]").files = event.dataTransfer.files;
  form.requestSubmit();
});
