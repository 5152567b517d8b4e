// Runs before the first paint, so that a chosen theme never flashes the other one. Not a
// module, because modules run later.
try {
  const t = localStorage.getItem("souk-theme");
  if (t === "light" || t === "dark") document.documentElement.dataset.theme = t;
} catch {}
