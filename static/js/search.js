// The search bar completes: a combobox whose list the server makes, walked by keyboard or pointer.
const bar = () => document.querySelector("[data-complete] [role=combobox]");
const list = () => document.getElementById("completions");
const options = () => [...list().querySelectorAll("[role=option]")];
const active = () => options().find((option) => option.getAttribute("aria-selected") === "true");
let settled = null; // the text the person closed the list on: a late answer does not open it again
let chosen; // what was marked when an answer to later letters came

function show(open) {
  list().hidden = !open;
  bar().setAttribute("aria-expanded", String(open));
  if (!open) mark(null);
}

function close() {
  settled = bar().value;
  show(false);
}

function mark(option) {
  for (const each of options()) each.setAttribute("aria-selected", String(each === option));
  if (option) {
    bar().setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  } else bar().removeAttribute("aria-activedescendant");
}

function take(option) {
  const input = bar();
  const after = input.value.slice(input.selectionEnd).replace(/^\S*/, "");
  const text = option.dataset.text;
  input.value = text + (text.endsWith(" ") ? after.trimStart() : after);
  input.setSelectionRange(text.length, text.length);
  input.focus();
  // a name wants its values next; a whole filter lets the person go on or press Enter
  if (option.hasAttribute("data-whole")) close();
  else window.htmx?.trigger(input, "complete");
}

document.addEventListener("htmx:configRequest", (event) => {
  // what follows the cursor is no part of what is being typed
  if (event.target === bar()) event.detail.parameters.q = bar().value.slice(0, bar().selectionStart);
});

document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target?.id === "completions") chosen = active()?.dataset.text;
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target?.id !== "completions") return;
  const count = options().length;
  show(count > 0 && document.activeElement === bar() && bar().value !== settled);
  if (!list().hidden) mark(options().find((option) => option.dataset.text === chosen));
  const said = document.querySelector("[data-complete-count]");
  if (said) said.textContent = count ? `${count} suggestions, arrow keys to choose` : "";
});

document.addEventListener("input", (event) => { if (event.target === bar()) settled = null; });

document.addEventListener("keydown", (event) => {
  if (!bar() || event.target !== bar() || event.isComposing) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && list().hidden) {
    event.preventDefault();
    settled = null;
    window.htmx?.trigger(bar(), "complete");
  } else if (step) {
    event.preventDefault();
    const all = options();
    const at = all.indexOf(active());
    mark(all[at < 0 && step < 0 ? all.length - 1 : (at + step + all.length) % all.length]);
  } else if (event.key === "Enter" && !list().hidden && active()) {
    event.preventDefault();
    take(active());
  } else if (event.key === "Escape" && !list().hidden) {
    event.preventDefault();
    event.stopPropagation();
    close();
  }
});

document.addEventListener("pointerdown", (event) => {
  const option = event.target.closest?.("#completions [role=option]");
  if (!option) return;
  event.preventDefault(); // the bar keeps the focus
  take(option);
});
document.addEventListener("focusout", (event) => { if (bar() && event.target === bar()) show(false); });
