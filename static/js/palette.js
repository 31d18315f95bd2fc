// Command palette: the server finds (and knows what the person may do), this walks the list.
import { openDialog } from "./overlays.js";

const dialog = () => document.getElementById("palette");
const input = () => document.getElementById("palette-q");
let answered = null; // the text the list answers; Enter before that waits for it
let chosen = null; // where the option leads that the person moved to, if they did
let entered = null; // the key that waits for the answer
const options = () => [...document.querySelectorAll("#palette-results [role=option]:not([aria-disabled])")];

export function openPalette() {
  if (!dialog()) return;
  openDialog(dialog());
  input().select();
  chosen = entered = null;
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

function open(option, key) {
  entered = null;
  if (key.ctrlKey || key.metaKey) window.open(option.href, "_blank", "noopener");
  else { dialog().close(); option.click(); }
}

document.addEventListener("click", (event) => { if (event.target.closest("[data-palette]")) openPalette(); });

document.addEventListener("input", (event) => { if (event.target === input()) chosen = entered = null; });

document.addEventListener("htmx:afterSwap", (event) => {
  const target = event.detail.target?.id;
  if (target !== "palette-results" && target !== "palette-more") return;
  if (target === "palette-results") answered = event.detail.requestConfig.parameters.q;
  const list = options();
  if (target === "palette-results" || !selected()) select(list.find((option) => option.href === chosen) ?? list[0]);
  if (entered && answered === input().value && selected() && dialog().open) open(selected(), entered);
});

document.addEventListener("keydown", (event) => {
  if (event.target !== input() || event.isComposing) return;
  const list = options();
  const at = list.indexOf(selected());
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    if (!list.length) return;
    const next = list[(at + step + list.length) % list.length];
    chosen = next.href;
    select(next);
  } else if (event.key === "Enter") {
    event.preventDefault();
    const option = selected();
    if (option && (answered === input().value || option.href === chosen)) return open(option, event);
    entered = event;
    if (answered !== input().value && !input().classList.contains("htmx-request")) window.htmx?.trigger(input(), "palette");
  }
});
