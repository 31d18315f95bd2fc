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

// By keyboard: arrows walk the lines and fold, c copies the path of the line in focus.
const LINES = "summary, li > .k[data-path]";

function walk(tree, line, step) {
  const lines = [...tree.querySelectorAll(LINES)].filter((each) => each.getClientRects().length);
  const next = lines[lines.indexOf(line) + step];
  if (!next) return;
  if (next.localName !== "summary") next.tabIndex = -1;
  next.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const line = event.target.closest?.("[data-tree]") && event.target.closest(LINES);
  if (!line) return;
  const branch = line.localName === "summary" ? line.parentElement : null;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    walk(line.closest("[data-tree]"), line, event.key === "ArrowDown" ? 1 : -1);
  } else if (branch && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
    branch.open = event.key === "ArrowRight";
  } else if (event.key === "c") {
    const key = branch ? line.querySelector(".k[data-path]") : line;
    if (key) copyPath(key);
  } else {
    return;
  }
  event.preventDefault();
});
