// Theme before first paint, so it is a classic script in <head>: system until a person chooses.
// ?theme=dark or ?theme=light fixes it for one view (pictures, tests).
(() => {
  const root = document.documentElement;
  const read = () => { try { return localStorage.getItem("dg-theme"); } catch { return null; } };
  const wanted = new URLSearchParams(location.search).get("theme") || read();
  const apply = (choice) => {
    if (choice === "dark" || choice === "light") root.dataset.theme = choice;
    else delete root.dataset.theme;
  };
  const show = () => {
    const choice = root.dataset.theme || "system";
    for (const button of document.querySelectorAll("[data-theme-set]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeSet === choice));
    }
  };
  const choose = (choice) => {
    apply(choice);
    try {
      if (choice === "system") localStorage.removeItem("dg-theme");
      else localStorage.setItem("dg-theme", choice);
    } catch { /* storage may be off: the choice then lasts for this page */ }
    show();
  };
  apply(wanted);
  document.addEventListener("DOMContentLoaded", show);
  document.addEventListener("click", (event) => {
    const set = event.target.closest("[data-theme-set]");
    if (set) return choose(set.dataset.themeSet);
    if (!event.target.closest("[data-theme-toggle]")) return undefined;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    return choose(dark ? "light" : "dark");
  });
})();
