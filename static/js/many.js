// Rows of a list that are chosen together: <input data-many="id">. What is chosen survives the refresh
// of the list; what left the list is chosen no more. Forms send the boxes by hx-include.

const chosen = new Set();
const bar = () => document.querySelector("[data-many-bar]");
const boxes = () => [...document.querySelectorAll("[data-many]")];

function show() {
  if (!bar()) return;
  const all = boxes();
  const here = new Set(all.map((box) => box.dataset.many));
  for (const id of [...chosen]) if (!here.has(id)) chosen.delete(id);
  for (const box of all) {
    box.checked = chosen.has(box.dataset.many);
    box.closest("tr")?.classList.toggle("picked-row", box.checked);
  }
  const words = `${chosen.size} ${chosen.size === 1 ? "item" : "items"}`;
  bar().hidden = chosen.size === 0;
  bar().querySelector("[data-many-words]").textContent = chosen.size ? `${words} chosen` : "";
  for (const slot of document.querySelectorAll("[data-many-count]")) slot.textContent = words;
  const whole = document.querySelector("[data-many-all]");
  if (whole) {
    whole.checked = all.length > 0 && chosen.size === all.length;
    whole.indeterminate = chosen.size > 0 && !whole.checked;
  }
}

document.addEventListener("change", (event) => {
  const box = event.target.closest?.("[data-many], [data-many-all]");
  if (!box) return;
  for (const each of box.matches("[data-many-all]") ? boxes() : [box]) {
    if (box.checked) chosen.add(each.dataset.many);
    else chosen.delete(each.dataset.many);
  }
  show();
});

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-many-clear]")) return;
  chosen.clear();
  show();
});

document.addEventListener("htmx:afterRequest", (event) => {
  const form = event.detail.elt;
  if (!event.detail.successful || !form?.matches?.("[data-many-form]")) return;
  chosen.clear();
  // The next one is another request, not this one again.
  for (const key of document.querySelectorAll("[data-many-form] [name=key]")) key.value = `m-${Date.now()}-${Math.random().toString(36).slice(2)}`;
  show();
});
document.addEventListener("htmx:afterSettle", show);
