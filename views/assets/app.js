// What pages gain from a script. Every part works on what it finds and stands alone;
// without any of them the page does the same, in more steps.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// The count in the cart. Public pages are the same for everyone, so it comes from a
// cookie that holds nothing else.
function showCount() {
  const n = Number(/(?:^|; )souk_cart_n=(\d+)/.exec(document.cookie)?.[1] ?? 0);
  for (const el of all("[data-cart-count]")) {
    el.textContent = n;
    el.hidden = n === 0;
  }
}

// Light, dark, or as the system has it.
function switchTheme() {
  const root = document.documentElement;
  for (const box of all("[data-theme-switch]")) {
    box.hidden = false;
    const now = root.dataset.theme ?? "auto";
    for (const radio of all("input", box)) radio.checked = radio.value === now;
    box.addEventListener("change", ({ target }) => {
      if (target.value === "auto") delete root.dataset.theme;
      else root.dataset.theme = target.value;
      try {
        if (target.value === "auto") localStorage.removeItem("souk-theme");
        else localStorage.setItem("souk-theme", target.value);
      } catch {} // storage is off: the choice holds for this page
    });
  }
}

// Copy buttons are hidden until there is a clipboard to copy to.
function copyButtons() {
  if (!navigator.clipboard) return;
  for (const button of all("[data-copy]")) {
    const text = button.parentElement.querySelector("[data-copy-text]");
    const label = button.querySelector("[data-copy-label]");
    button.hidden = false;
    label.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text.textContent);
      label.textContent = "Copied";
      setTimeout(() => (label.textContent = "Copy"), 2000);
    });
  }
}

// "/" goes to the search; j and k or the arrows move through cards once one has focus.
function keys() {
  const links = () => all("[data-card] a[href]:first-of-type").filter((a) => a.matches("[data-card] h3 a, .mails a"));
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    if (e.target.closest("input, textarea, select, [contenteditable]")) return;
    if (e.key === "/") {
      const field = document.querySelector("[data-search]");
      if (!field) return;
      e.preventDefault();
      field.focus();
      field.select();
      return;
    }
    const cards = links();
    const at = cards.indexOf(document.activeElement);
    const step = move(e.key, at, cards);
    if (step === 0) return;
    const next = cards[Math.min(Math.max(at + step, 0), cards.length - 1)];
    if (next) {
      e.preventDefault();
      next.focus();
      next.closest("[data-card]").scrollIntoView({ block: "nearest" });
    }
  });
}

// move is how many cards a key moves by: j and k always, arrows only from a card, up and
// down by a row of the grid as it is laid out now.
function move(key, at, cards) {
  if (key === "j") return 1;
  if (key === "k") return at < 0 ? 0 : -1;
  if (at < 0) return 0;
  if (key === "ArrowRight" || key === "ArrowLeft") {
    const forward = (key === "ArrowRight") === (document.dir !== "rtl");
    return forward ? 1 : -1;
  }
  if (key !== "ArrowDown" && key !== "ArrowUp") return 0;
  const box = (a) => a.closest("[data-card]").getBoundingClientRect();
  const row = cards.filter((a) => Math.abs(box(a).top - box(cards[at]).top) < 4).length;
  return key === "ArrowDown" ? row : -row;
}

// The tile of a card grows into the agent's page, and shrinks back on return.
function growTiles() {
  const tileTo = (url) => {
    const path = new URL(url, location.href).pathname;
    const card = all("[data-card]").find((c) => c.querySelector("a")?.pathname === path);
    return card?.querySelector(".tile");
  };
  const lend = (tile, done) => {
    if (!tile || document.querySelector(".hero-tile")) return;
    tile.style.viewTransitionName = "tile";
    done.finally(() => (tile.style.viewTransitionName = ""));
  };
  addEventListener("pageswap", (e) => {
    const to = e.activation?.entry?.url;
    if (e.viewTransition && to) lend(tileTo(to), e.viewTransition.finished);
  });
  addEventListener("pagereveal", (e) => {
    const from = window.navigation?.activation?.from?.url;
    if (e.viewTransition && from) lend(tileTo(from), e.viewTransition.finished);
  });
}

// A payment that isn't decided yet: ask again by and by, and show the page anew only when
// the answer is another one. Without scripts the page refreshes itself.
function waitForPayment() {
  const box = document.querySelector("[data-refresh]");
  const seconds = Number(box?.dataset.refresh);
  if (!seconds) return;
  const ask = async () => {
    try {
      const page = await fetch(location.href, { cache: "no-store" });
      const now = new DOMParser().parseFromString(await page.text(), "text/html").querySelector("[data-state]");
      if (page.ok && now && now.dataset.state !== box.dataset.state) return location.reload();
    } catch {} // offline for a moment: the next try may succeed
    setTimeout(ask, seconds * 1000);
  };
  setTimeout(ask, seconds * 1000);
}

// A form that may be sent once isn't sent twice by a second click. The server doesn't
// rely on it: the token in the form does the same.
function sendOnce() {
  for (const button of all("[data-once]")) {
    button.form?.addEventListener("submit", () => setTimeout(() => (button.disabled = true)));
    addEventListener("pageshow", () => (button.disabled = false));
  }
}

// Suggestions are fetched code too: it comes when a search gets focus for the first time.
function suggestions() {
  for (const field of all("[data-suggest]")) {
    const load = () => import(field.dataset.suggest).then((m) => m.suggest(field)).catch(() => {});
    if (document.activeElement === field) load();
    else field.addEventListener("focus", load, { once: true });
  }
}

// What a pointer rests on, or a finger touches, is fetched before it is opened: once a
// page, a dozen at most, and never for those who save data or have little of it.
function prefetch() {
  const line = navigator.connection;
  if (line?.saveData || /2g/.test(line?.effectiveType ?? "")) return;
  if (!document.createElement("link").relList?.supports?.("prefetch")) return;
  const seen = new Set([location.pathname + location.search]);
  const want = (a) => {
    const path = a.pathname + a.search;
    if (seen.has(path) || seen.size > 12 || a.origin !== location.origin) return;
    seen.add(path);
    const link = document.createElement("link");
    link.rel = "prefetch";
    link.href = a.href;
    document.head.append(link);
  };
  const near = (e) => e.target.closest?.("a[data-prefetch]") ?? e.target.closest?.("[data-card]")?.querySelector("a[data-prefetch]");
  let resting;
  document.addEventListener("pointerover", (e) => {
    clearTimeout(resting);
    const a = e.pointerType === "mouse" && near(e);
    if (a) resting = setTimeout(() => want(a), 80);
  });
  document.addEventListener("touchstart", (e) => near(e) && want(near(e)), { passive: true });
}

showCount();
addEventListener("pageshow", showCount);
suggestions();
prefetch();
switchTheme();
copyButtons();
keys();
growTiles();
sendOnce();
waitForPayment();
