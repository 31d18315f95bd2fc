// Single keys, never while typing and never with Ctrl, Alt or Meta (except Ctrl/Cmd-K).
import { openDialog } from "./overlays.js";
import { openPalette } from "./palette.js";

let leader = 0;

const typing = (target) => target instanceof Element
  && (target.isContentEditable || target.closest("input:not([type=radio], [type=checkbox]), textarea, select"));

function rows() {
  const inMain = [...document.querySelectorAll("main [data-row]")].filter((row) => row.offsetParent !== null);
  return inMain.map((row) => (row.matches("a, button") ? row : row.querySelector("a[href], button"))).filter(Boolean);
}

function move(step) {
  const list = rows();
  if (!list.length) return;
  const here = document.activeElement?.closest("[data-row]");
  const at = here ? list.findIndex((link) => here === link || here.contains(link)) : -1;
  const marked = list.findIndex((link) => link.closest("[data-row]").hasAttribute("aria-current"));
  const from = at >= 0 ? at : marked;
  const next = list[Math.max(0, Math.min(list.length - 1, from < 0 ? (step > 0 ? 0 : list.length - 1) : from + step))];
  next.focus({ preventScroll: true });
  next.closest("[data-row]").scrollIntoView({ block: "nearest" });
}

function press(selector) {
  const target = document.querySelector(selector);
  if (!target || target.getAttribute("aria-disabled") === "true") return false;
  target.click();
  // Whoever chose by key goes on from there: the next Tab leads to what comes after the choice.
  if (target instanceof HTMLLabelElement) target.control?.focus();
  return true;
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open], [popover]:popover-open:not([data-drawer])")) return;

  if (Date.now() - leader < 1200 && /^[a-z]$/.test(event.key)) {
    leader = 0;
    if (press(`.nav [data-goto="${event.key}"]`)) event.preventDefault();
    return;
  }
  const act = {
    g: () => { leader = Date.now(); },
    "/": () => (document.querySelector("main [data-search]") ? document.querySelector("main [data-search]").focus() : openPalette()),
    "?": () => openDialog(document.getElementById("keys")),
    j: () => move(1),
    k: () => move(-1),
  }[event.key];
  if (act) {
    event.preventDefault();
    act();
  } else if (event.key.length === 1 && press(`[data-hotkey="${CSS.escape(event.key)}"]`)) event.preventDefault();
});
