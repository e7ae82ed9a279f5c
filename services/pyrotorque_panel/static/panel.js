// Keeps the cards of the page current: a message says that something changed, then the page is fetched again and each
// changed card replaced, unless somebody types in it. Without this script the page is the same, as of its loading.
"use strict";
const source = document.body.dataset.live;
const status = document.getElementById("live");
let timer = 0;

function isUsed(card) {
  const active = document.activeElement;
  return card.contains(active) && (active.tagName === "INPUT" || active.tagName === "SELECT");
}

function replaceCards(page) {
  document.title = page.title;
  for (const card of page.querySelectorAll("[id^=card-]")) {
    const old = document.getElementById(card.id);
    if (!old) { location.reload(); return; }
    if (old.outerHTML === card.outerHTML || isUsed(old)) continue;
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    const next = document.importNode(card, true);
    old.replaceWith(next);
    if (focused) {
      const again = [...next.querySelectorAll("[aria-label]")].find((each) => each.getAttribute("aria-label") === focused);
      if (again) again.focus();
    }
  }
}

async function refresh() {
  timer = 0;
  const answer = await fetch(location.href, {headers: {"Accept": "text/html"}, redirect: "manual"}).catch(() => null);
  if (!answer || !answer.ok) { if (answer && answer.type === "opaqueredirect") location.reload(); return; }
  replaceCards(new DOMParser().parseFromString(await answer.text(), "text/html"));
}

function soon() {
  if (!timer) timer = setTimeout(refresh, 150);
}

function follow() {
  const stream = new EventSource(source);
  stream.addEventListener("open", () => { status.textContent = "live"; soon(); });
  stream.addEventListener("changed", soon);
  stream.addEventListener("gap", soon);
  stream.addEventListener("error", () => { status.textContent = "connection lost, trying again"; });
  return stream;
}

if (source) {
  let stream = follow();
  // A browser opens six connections to one host: a page that is not seen gives its own back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { stream.close(); status.textContent = ""; } else if (stream.readyState === EventSource.CLOSED) { stream = follow(); }
  });
}
