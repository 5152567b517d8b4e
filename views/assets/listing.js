// Filters, orders and pages of a listing without loading the page anew: the page at the
// link's address is fetched, and what stands in elements with data-live is taken over. The
// address, the history and the focus are those that a plain visit would give.

const live = (root) => [...root.querySelectorAll("[data-live]")];
let running;
let shown = location.pathname + location.search;

// inListing reports whether a link stays on this listing, and so can be shown in place.
const inListing = (a) => a && a.origin === location.origin && a.pathname === location.pathname && a.closest("[data-live]") && !a.closest("[data-card]");

async function load(url) {
  running?.abort();
  running = new AbortController();
  document.documentElement.toggleAttribute("data-busy", true);
  try {
    const answer = await fetch(url, { signal: running.signal, headers: { Accept: "text/html" } });
    if (answer.redirected || !/text\/html/.test(answer.headers.get("Content-Type"))) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  } finally {
    document.documentElement.toggleAttribute("data-busy", false);
  }
}

// What the head says of the address: where it counts, its feeds, whether engines keep it.
const told = "link[rel=canonical], link[rel=alternate], meta[name=robots], meta[name=description], meta[property='og:url']";

// take puts the new page's content in place; false when it is a page of another shape.
function take(page) {
  const pairs = live(document).map((el) => [el, page.getElementById(el.id)]);
  if (pairs.some(([, to]) => !to) || pairs.length !== live(page).length) return false;
  const open = new Map([...document.querySelectorAll("details[id]")].map((d) => [d.id, d.open]));
  const key = document.activeElement?.closest("[data-live]") && document.activeElement.dataset.key;
  for (const [el, to] of pairs) el.replaceChildren(...to.childNodes);
  for (const d of document.querySelectorAll("details[id]")) if (open.has(d.id)) d.open = open.get(d.id);
  document.title = page.title;
  for (const el of document.head.querySelectorAll(told)) el.remove();
  document.head.append(...page.head.querySelectorAll(told));
  document.querySelector("[data-listing-status]").textContent = document.querySelector("#listing-head .muted, .empty .lead")?.textContent ?? "";
  shown = location.pathname + location.search;
  keepFocus(key);
  return true;
}

// keepFocus goes to what had it, or to what stands for it now: a removed chip's filter, or
// the heading.
function keepFocus(key) {
  if (key === null || key === undefined) return;
  const find = (k) => document.querySelector(`[data-key="${CSS.escape(k)}"]`);
  const shown = (el) => el?.checkVisibility?.() ?? el;
  const next = [find(key), find(key.replace(/^chip /, "")), document.querySelector(".chip"), document.querySelector("[data-key=filters]")].find(shown);
  if (next) return next.focus({ preventScroll: true });
  const heading = document.querySelector("h1");
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

async function go(url, scroll) {
  try {
    const page = await load(url);
    if (!page || !take(page)) return location.assign(url);
    if (scroll) document.getElementById("listing-head").scrollIntoView();
  } catch (e) {
    if (e.name !== "AbortError") location.assign(url);
  }
}

document.addEventListener("click", (e) => {
  if (e.defaultPrevented || e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
  const a = e.target.closest("a[href]");
  if (!inListing(a)) return;
  e.preventDefault();
  history.pushState(null, "", a.href);
  go(a.href, Boolean(a.closest(".pager")));
});
addEventListener("popstate", () => {
  const now = location.pathname + location.search;
  if (now !== shown) go(location.href, false); // and not for a fragment
});
