// Two rows of a list can be picked and compared; a third takes the place of the first.
let picked = [];
const strip = () => document.querySelector("[data-picked]");
const boxes = () => [...document.querySelectorAll("[data-pick]")];

function show() {
  const bar = strip();
  if (!bar) return;
  for (const box of boxes()) {
    box.checked = picked.includes(box.value);
    box.closest("tr")?.classList.toggle("picked-row", box.checked);
  }
  bar.hidden = picked.length === 0;
  bar.querySelector("[data-picked-words]").textContent = picked.length === 2
    ? "Two traces selected" : "One trace selected; select another to compare";
  const go = bar.querySelector("[data-picked-go]");
  go.hidden = picked.length !== 2;
  if (picked.length === 2) go.href = `${bar.dataset.compare}?${new URLSearchParams({ left: picked[0], right: picked[1] })}`;
}

document.addEventListener("change", (event) => {
  const box = event.target.closest?.("[data-pick]");
  if (!box) return;
  picked = picked.filter((value) => value !== box.value);
  if (box.checked) picked = [...picked, box.value].slice(-2);
  show();
});

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-picked-clear]")) return;
  picked = [];
  show();
});

// rows that arrive keep what was picked; what is gone from the page stays picked until cleared
document.addEventListener("htmx:afterSettle", show);
