// Menus are native popovers, dialogs native <dialog>: this only places, opens and walks them.

const GAP = 4;

function place(menu, invoker) {
  const box = invoker.getBoundingClientRect();
  const height = menu.offsetHeight;
  const width = Math.max(menu.offsetWidth, menu.dataset.place ? box.width : 0);
  const fitsBelow = box.bottom + GAP + height <= innerHeight;
  const above = menu.dataset.place === "above" || (!fitsBelow && box.top > height + GAP);
  const left = menu.dataset.place ? box.left : box.right - width;
  // Set through the object model: the content policy forbids style attributes in markup only.
  menu.style.insetInlineStart = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
  menu.style.insetBlockStart = `${Math.max(8, above ? box.top - height - GAP : box.bottom + GAP)}px`;
  if (menu.dataset.place) menu.style.minInlineSize = `${box.width}px`;
}

const items = (menu) => [...menu.querySelectorAll("a[href], button:not([disabled]), [role^=menuitem]")];

document.addEventListener("toggle", (event) => {
  const menu = event.target;
  if (!(menu instanceof HTMLElement) || !menu.matches("[popover]")) return;
  const invoker = document.querySelector(`[popovertarget="${CSS.escape(menu.id)}"]`);
  const open = event.newState === "open";
  invoker?.setAttribute("aria-expanded", String(open));
  if (!open || !invoker || menu.hasAttribute("data-drawer")) return;
  place(menu, invoker);
  if (menu.getAttribute("role") === "menu") items(menu)[0]?.focus();
}, true);

document.addEventListener("keydown", (event) => {
  const menu = event.target instanceof Element && event.target.closest("[role=menu][popover]");
  if (!menu) return;
  const list = items(menu);
  const at = list.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: list.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  list[(to + list.length) % list.length]?.focus();
});

addEventListener("resize", () => document.querySelectorAll("[popover]:popover-open").forEach((menu) => menu.hidePopover()));

export function openDialog(dialog) {
  if (!(dialog instanceof HTMLDialogElement) || dialog.open) return;
  document.querySelectorAll("[popover]:popover-open").forEach((menu) => menu.hidePopover());
  document.querySelectorAll("dialog[open]").forEach((other) => other.close());
  dialog.showModal();
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) return openDialog(document.getElementById(opener.dataset.dialog));
  const closer = event.target.closest("[data-close]");
  if (closer) return closer.closest("dialog")?.close();
  // A click on the backdrop is a click on the dialog itself, outside its box.
  if (event.target instanceof HTMLDialogElement && event.target.open) {
    const box = event.target.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right
      && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside) event.target.close();
  }
  return undefined;
});

// A dialog fetched by htmx opens when it arrives: <dialog data-open>.
document.addEventListener("htmx:afterSettle", () => {
  document.querySelectorAll("dialog[data-open]").forEach((dialog) => {
    delete dialog.dataset.open;
    openDialog(dialog);
  });
});

// A form in a dialog that was accepted is done: <form data-closes>. A refusal leaves it open, as typed.
document.addEventListener("htmx:afterRequest", (event) => {
  const form = event.detail.elt;
  if (!(form instanceof HTMLFormElement) || !event.detail.successful || event.detail.xhr.status === 422) return;
  if (form.matches("[data-closes]")) form.closest("dialog")?.close();
  if (form.matches("[data-closes], [data-clears]")) form.reset();
  if (form.elements.key) renew(form.elements.key);
});

// An idempotency key is for one deed: what is sent next from the same form is another one.
function renew(field) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const name = field.value.slice(0, field.value.indexOf("-") + 1);
  field.value = name + [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What is chosen from a menu is under way: the menu is done.
document.addEventListener("htmx:beforeRequest", (event) => {
  const menu = event.target instanceof Element && event.target.closest("[role=menu][popover]:popover-open");
  if (menu) menu.hidePopover();
});
