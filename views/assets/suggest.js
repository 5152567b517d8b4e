// Suggestions under a search field: the combobox of the ARIA Authoring Practices, with a
// list that the field owns. Focus stays in the field; arrows choose, Enter opens what is
// chosen or else searches, Escape closes and then clears.

const kept = new Map(); // answers of this page, by text

async function ask(text, signal) {
  if (kept.has(text)) return kept.get(text);
  const answer = await fetch("/suggest?q=" + encodeURIComponent(text), { signal, headers: { Accept: "application/json" } });
  if (!answer.ok) return [];
  const { items } = await answer.json();
  kept.set(text, items);
  return items;
}

const make = (tag, className, text) => {
  const el = document.createElement(tag);
  if (className) el.className = className;
  if (text) el.textContent = text;
  return el;
};

// withMarks writes a text with what is typed set off where a word begins with it.
function withMarks(el, text, typed) {
  const at = text.toLowerCase().indexOf(typed.toLowerCase());
  if (at < 0 || !typed) return void el.append(text);
  el.append(text.slice(0, at), make("mark", "", text.slice(at, at + typed.length)), text.slice(at + typed.length));
}

export function suggest(field) {
  const list = make("div", "suggestions");
  const said = make("p", "vh");
  list.id = field.id + "-list";
  list.role = "listbox";
  list.ariaLabel = "Suggestions";
  list.hidden = true;
  said.role = "status";
  field.form.append(list, said);
  field.role = "combobox";
  field.setAttribute("aria-autocomplete", "list");
  field.setAttribute("aria-controls", list.id);
  field.ariaExpanded = "false";

  let at = -1;
  let typed = field.value;
  let running;
  const options = () => [...list.children];

  function shut() {
    running?.abort();
    list.hidden = true;
    list.replaceChildren();
    field.ariaExpanded = "false";
    field.removeAttribute("aria-activedescendant");
    said.textContent = "";
    at = -1;
  }

  function choose(n) {
    const all = options();
    all[at]?.setAttribute("aria-selected", "false");
    at = n;
    if (!all[at]) {
      field.removeAttribute("aria-activedescendant");
      return;
    }
    all[at].setAttribute("aria-selected", "true");
    all[at].scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", all[at].id);
  }

  function option(item, i) {
    const a = make("a", "suggestion");
    a.role = "option";
    a.id = list.id + "-" + i;
    a.href = item.href;
    a.tabIndex = -1;
    a.setAttribute("aria-selected", "false");
    if (item.image) {
      const img = make("img");
      img.src = item.image;
      img.alt = "";
      img.width = img.height = 32;
      a.append(img);
    } else {
      a.append(make("span", "suggestion-kind", item.kind === "query" ? "⌕" : item.kind === "tag" ? "#" : "▤"));
      a.firstChild.ariaHidden = "true";
    }
    const text = make("span", "suggestion-text");
    withMarks(text, item.text, typed.trim());
    a.append(text);
    if (item.note) a.append(make("span", "suggestion-note", item.note));
    return a;
  }

  function show(items) {
    if (items.length === 0 || document.activeElement !== field) return shut();
    at = -1;
    field.removeAttribute("aria-activedescendant");
    list.replaceChildren(...items.map(option));
    list.hidden = false;
    field.ariaExpanded = "true";
    said.textContent = items.length === 1 ? "1 suggestion" : items.length + " suggestions";
  }

  async function update() {
    typed = field.value;
    running?.abort();
    if (typed.trim().length < 2) return shut();
    running = new AbortController();
    const { signal } = running;
    try {
      const items = await ask(typed.trim(), signal);
      if (!signal.aborted) show(items);
    } catch {} // superseded, or offline: the search itself still works
  }

  field.addEventListener("input", (e) => !e.isComposing && update());
  field.addEventListener("compositionend", update);
  field.addEventListener("blur", shut);
  list.addEventListener("pointerdown", (e) => e.preventDefault()); // focus stays in the field
  field.addEventListener("keydown", (e) => {
    if (e.isComposing || e.ctrlKey || e.metaKey || e.altKey) return;
    const n = list.children.length;
    if (e.key === "ArrowDown" && list.hidden) update();
    else if (e.key === "ArrowDown") choose(at + 1 === n ? -1 : at + 1);
    else if (e.key === "ArrowUp" && !list.hidden) choose(at < 0 ? n - 1 : at - 1);
    else if (e.key === "Enter" && at >= 0) options()[at].click();
    else if (e.key === "Escape" && !list.hidden) shut();
    else return;
    e.preventDefault();
  });
  field.form.addEventListener("submit", (e) => at >= 0 && e.preventDefault()); // what is chosen is opened instead
  if (document.activeElement === field && field.value !== field.defaultValue) update();
}
