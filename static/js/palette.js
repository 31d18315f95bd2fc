// Command palette: the server finds (and knows what the person may do), this walks the list.
import { openDialog } from "./overlays.js";

const dialog = () => document.getElementById("palette");
const input = () => document.getElementById("palette-q");
const options = () => [...document.querySelectorAll("#palette-results [role=option]:not([aria-disabled])")];

export function openPalette() {
  if (!dialog()) return;
  openDialog(dialog());
  input().select();
  window.htmx?.trigger(input(), "palette");
}

function select(option) {
  for (const each of options()) each.setAttribute("aria-selected", String(each === option));
  if (option) {
    input().setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  } else input().removeAttribute("aria-activedescendant");
}

const selected = () => options().find((option) => option.getAttribute("aria-selected") === "true");

document.addEventListener("click", (event) => { if (event.target.closest("[data-palette]")) openPalette(); });

document.addEventListener("htmx:afterSwap", (event) => {
  const target = event.detail.target?.id;
  if (target === "palette-results" || (target === "palette-more" && !selected())) select(options()[0]);
});

document.addEventListener("keydown", (event) => {
  if (event.target !== input()) return;
  const list = options();
  const at = list.indexOf(selected());
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    select(list[(at + step + list.length) % list.length]);
  } else if (event.key === "Enter") {
    event.preventDefault();
    const option = selected();
    if (!option) return;
    if (event.ctrlKey || event.metaKey) window.open(option.href, "_blank", "noopener");
    else { dialog().close(); option.click(); }
  }
});
