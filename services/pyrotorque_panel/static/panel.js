// Keeps a page current: a message says that something changed, then htmx fetches the page again and morphs it in place, so that
// what a person types and where the focus is stay. Without scripts a page is the same, as of its loading.
"use strict";
const EVERY = 400; // milliseconds between two refreshes
const live = document.getElementById("live");
const stream = document.getElementById("stream");
let busy = false;
let again = false;

// A button that its own action has removed leaves the focus nowhere: the content gets it.
let focused = null;
document.addEventListener("focusin", (event) => { focused = event.target; });
document.addEventListener("htmx:after:swap", () => {
  if (focused && !focused.isConnected && document.activeElement === document.body) {
    document.getElementById("main").focus({preventScroll: true});
  }
});

async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    await htmx.ajax("GET", location.href, {source: "#stream", target: "#page", select: "#page", swap: "outerMorph"});
  } catch { /* the next message tries again */ }
  setTimeout(() => { busy = false; if (again) { again = false; refresh(); } }, EVERY);
}

function show(text) {
  if (live && live.textContent !== text) live.textContent = text;
}

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
  document.addEventListener("htmx:sse:after:connection", () => { show("live"); refresh(); });
  document.addEventListener("htmx:sse:error", () => show("connection lost, trying again"));
  document.addEventListener("htmx:sse:before:connection", (event) => {
    if (event.detail.connection.attempt > 0) show("connection lost, trying again");
  });
}

// Metafiles that are dropped anywhere on a page with a form for them go into that form, which then is sent.
document.addEventListener("dragover", (event) => {
  if (document.querySelector("form.drop") && event.dataTransfer.types.includes("Files")) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  const form = document.querySelector("form.drop");
  if (!form || !event.dataTransfer.files.length) return;
  event.preventDefault();
  form.querySelector("input[type=file]").files = event.dataTransfer.files;
  form.requestSubmit();
});
