// The payload tree: search, copy a path, fold or open everything. Folding itself is <details>.
import { toast } from "./notices.js";

function clear(tree) {
  for (const mark of tree.querySelectorAll("mark[data-hit]")) mark.replaceWith(...mark.childNodes);
  tree.normalize();
}

function search(tree, wanted) {
  clear(tree);
  let hits = 0;
  if (wanted.length < 2) return hits;
  for (const leaf of tree.querySelectorAll(".k, .str, .nmb, .lit")) {
    if (!leaf.textContent.toLowerCase().includes(wanted)) continue;
    const mark = document.createElement("mark");
    mark.dataset.hit = "";
    mark.append(...leaf.childNodes);
    leaf.append(mark);
    hits += 1;
    for (let up = leaf.closest("details"); up; up = up.parentElement.closest("details")) up.open = true;
  }
  return hits;
}

document.addEventListener("input", (event) => {
  const field = event.target.closest("[data-tree-search]");
  if (!field) return;
  const tree = field.closest("[data-tree-scope]")?.querySelector("[data-tree]");
  if (!tree) return;
  const wanted = field.value.trim().toLowerCase();
  const hits = search(tree, wanted);
  const told = field.closest("[data-tree-scope]").querySelector("[data-tree-hits]");
  if (told) told.textContent = wanted.length < 2 ? "" : hits === 1 ? "1 hit" : `${hits} hits`;
});

document.addEventListener("click", (event) => {
  const fold = event.target.closest("[data-tree-fold]");
  if (fold) {
    const all = [...(fold.closest("[data-tree-scope]") || document).querySelectorAll("[data-tree] details")];
    const open = all.some((branch) => !branch.open);
    for (const branch of all) branch.open = open || branch === all[0];
    return;
  }
  // On a value's name a click copies its path; on a branch it folds, so there it takes Alt.
  const key = event.target.closest("[data-tree] .k[data-path]");
  if (!key || (key.closest("summary") && !event.altKey)) return;
  event.preventDefault();
  copyPath(key);
});

function copyPath(key) {
  navigator.clipboard?.writeText(key.dataset.path).then(() => toast(`Copied the path ${key.dataset.path}`));
}

// By keyboard: c on a focused branch.
document.addEventListener("keydown", (event) => {
  if (event.key !== "c" || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.target.closest?.("[data-tree] summary")?.querySelector(".k[data-path]");
  if (key) copyPath(key);
});
