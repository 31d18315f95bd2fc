// The picture of the graph page: move and zoom by changing the viewBox, select a node without leaving,
// expand one in place, save as a file. Everything also works as plain links, without this script.

const STEP = 1.25;
const picture = () => document.querySelector("main svg[data-picture]");
const whole = (svg) => svg.dataset.picture.split(" ").map(Number);
const boxOf = (svg) => svg.getAttribute("viewBox").split(" ").map(Number);

function show(svg, [x, y, width, height]) {
  const [fullW, fullH] = whole(svg);
  const w = Math.min(Math.max(width, 120), 4 * fullW);
  const h = Math.min(Math.max(height, 60), 4 * fullH);
  // Something of the picture always stays in sight.
  const left = Math.min(Math.max(x, -w + 80), fullW - 80);
  const top = Math.min(Math.max(y, -h + 40), fullH - 40);
  svg.setAttribute("viewBox", [left, top, w, h].map((each) => Math.round(each * 100) / 100).join(" "));
}

const showAll = (svg) => svg.setAttribute("viewBox", `0 0 ${whole(svg).join(" ")}`);

// Units of the picture under a point of the screen.
function under(svg, clientX, clientY) {
  const matrix = svg.getScreenCTM();
  return matrix ? new DOMPoint(clientX, clientY).matrixTransform(matrix.inverse()) : new DOMPoint(0, 0);
}

function zoom(svg, factor, at) {
  const [x, y, w, h] = boxOf(svg);
  const point = at || { x: x + w / 2, y: y + h / 2 };
  const width = Math.min(Math.max(w / factor, 120), 4 * whole(svg)[0]);
  const real = w / width;
  show(svg, [point.x - (point.x - x) / real, point.y - (point.y - y) / real, width, h / real]);
}

function pan(svg, dx, dy) {
  const [x, y, w, h] = boxOf(svg);
  show(svg, [x + dx * w, y + dy * h, w, h]);
}

const nodesOf = (svg) => [...svg.querySelectorAll("a.n")];
const placeOf = (node) => {
  const rect = node.querySelector("rect");
  return { x: rect.x.baseVal.value + rect.width.baseVal.value / 2, y: rect.y.baseVal.value + rect.height.baseVal.value / 2 };
};

// A focused node that lies outside is brought in.
function reveal(svg, node) {
  const [x, y, w, h] = boxOf(svg);
  const at = placeOf(node);
  if (at.x < x + 40 || at.x > x + w - 40 || at.y < y + 20 || at.y > y + h - 20) show(svg, [at.x - w / 2, at.y - h / 2, w, h]);
}

// The nearest node in a direction: what lies aside counts double.
function neighbour(svg, node, dx, dy) {
  const from = placeOf(node);
  let best = null;
  let least = Infinity;
  for (const other of nodesOf(svg)) {
    const to = placeOf(other);
    const along = (to.x - from.x) * dx + (to.y - from.y) * dy;
    const aside = Math.abs((to.x - from.x) * dy) + Math.abs((to.y - from.y) * dx);
    if (other === node || along <= 1) continue;
    if (along + 2 * aside < least) { least = along + 2 * aside; best = other; }
  }
  return best;
}

// A large picture opens readable around what is selected, not as a grey mist; one stop by Tab, arrows inside.
function open() {
  const svg = picture();
  if (!svg || svg.dataset.ready) return;
  svg.dataset.ready = "true";
  const nodes = nodesOf(svg);
  const current = svg.querySelector("a.n[aria-current]") || nodes[0];
  for (const node of nodes) node.setAttribute("tabindex", node === current ? "0" : "-1");
  const [fullW, fullH] = whole(svg);
  const { width, height } = svg.getBoundingClientRect();
  const scale = Math.min(width / fullW, height / fullH);
  if (current && scale > 0 && scale < 0.6) {
    const readable = width < 500 ? 0.75 : 0.85;
    // A way is shown from end to end.
    const way = [...svg.querySelectorAll("a.n.way")].map(placeOf);
    const [xs, ys] = ["x", "y"].map((side) => (way.length ? way : [placeOf(current)]).map((each) => each[side]));
    const at = { x: (Math.min(...xs) + Math.max(...xs)) / 2, y: (Math.min(...ys) + Math.max(...ys)) / 2 };
    const w = Math.max(width / readable, Math.max(...xs) - Math.min(...xs) + 220);
    const h = Math.max(height / readable, Math.max(...ys) - Math.min(...ys) + 80);
    // Not beyond the edges where there is something to see.
    const left = Math.max(-20, Math.min(at.x - w / 2, fullW - w + 20));
    const top = Math.max(-20, Math.min(at.y - h / 2, fullH - h + 20));
    show(svg, [w > fullW ? (fullW - w) / 2 : left, h > fullH ? (fullH - h) / 2 : top, w, h]);
  }
}

function mark(svg, node) {
  const at = String(nodesOf(svg).indexOf(node));
  const centre = node.classList.contains("c");
  for (const each of nodesOf(svg)) {
    each.classList.toggle("sel", each === node);
    each.setAttribute("tabindex", each === node ? "0" : "-1");
    if (each === node) each.setAttribute("aria-current", "true");
    else each.removeAttribute("aria-current");
  }
  for (const line of svg.querySelectorAll(".edge")) {
    const near = !centre && line.dataset.ends.split(" ").includes(at);
    line.classList.toggle("hot", near && !line.classList.contains("way"));
    if (near) line.parentNode.append(line);
  }
}

const address = (node) => new URL(node.href.baseVal, location.href);

function remember(url) {
  history.replaceState(history.state, "", url);
}

async function select(svg, node) {
  const url = address(node);
  mark(svg, node);
  remember(url);
  const part = new URL(url);
  part.searchParams.set("part", "node");
  await window.htmx.ajax("GET", part.pathname + part.search, { target: "#node", swap: "outerHTML" });
  const panel = document.getElementById("node");
  const box = panel?.getBoundingClientRect();
  // In one column the panel stands below the picture: a click must show what it did.
  if (box && box.top > innerHeight - 120) panel.scrollIntoView({ block: "nearest" });
}

function expand(node) {
  const url = address(node);
  const mine = url.searchParams.get("at");
  if (!mine) return;
  const opened = (url.searchParams.get("open") || "").split(",").filter(Boolean);
  url.searchParams.set("open", (opened.includes(mine) ? opened.filter((each) => each !== mine) : [...opened, mine]).join(","));
  if (!url.searchParams.get("open")) url.searchParams.delete("open");
  // A link of the page's own: htmx swaps the picture and keeps the history.
  const link = document.createElement("a");
  link.href = url.pathname + url.search;
  for (const [name, value] of [["hx-boost", "true"], ["hx-target", "#graph"], ["hx-select", "#graph"], ["hx-swap", "outerHTML show:none"]]) link.setAttribute(name, value);
  link.hidden = true;
  document.getElementById("graph").append(link);
  window.htmx.process(link);
  link.click();
}

let drag = null;
const touches = new Map();

document.addEventListener("pointerdown", (event) => {
  const svg = event.target.closest?.("svg[data-picture]");
  if (!svg || event.button) return;
  touches.set(event.pointerId, event);
  drag = { svg, x: event.clientX, y: event.clientY, moved: false, box: boxOf(svg), apart: apart() };
});

function apart() {
  const [one, two] = [...touches.values()];
  return two ? Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY) : 0;
}

document.addEventListener("pointermove", (event) => {
  if (!drag || !touches.has(event.pointerId)) return;
  touches.set(event.pointerId, event);
  const { svg, box } = drag;
  if (touches.size === 2 && drag.apart) {
    const now = apart();
    const [one, two] = [...touches.values()];
    zoom(svg, now / drag.apart, under(svg, (one.clientX + two.clientX) / 2, (one.clientY + two.clientY) / 2));
    Object.assign(drag, { apart: now, box: boxOf(svg), x: event.clientX, y: event.clientY, moved: true });
    return;
  }
  const dx = event.clientX - drag.x;
  const dy = event.clientY - drag.y;
  if (!drag.moved && Math.hypot(dx, dy) < 4) return;
  drag.moved = true;
  svg.classList.add("drag");
  const scale = svg.getScreenCTM()?.a || 1;
  show(svg, [box[0] - dx / scale, box[1] - dy / scale, box[2], box[3]]);
});

let dragged = false;
function release(event) {
  touches.delete(event.pointerId);
  if (!drag) return;
  dragged = drag.moved;
  drag.svg.classList.remove("drag");
  if (touches.size) Object.assign(drag, { x: [...touches.values()][0].clientX, y: [...touches.values()][0].clientY, box: boxOf(drag.svg), apart: 0 });
  else drag = null;
}
document.addEventListener("pointerup", release);
document.addEventListener("pointercancel", release);
document.addEventListener("dragstart", (event) => { if (event.target.closest?.("svg[data-picture]")) event.preventDefault(); });

document.addEventListener("wheel", (event) => {
  const svg = event.target.closest?.("svg[data-picture]");
  if (!svg) return;
  event.preventDefault();
  zoom(svg, Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 240), under(svg, event.clientX, event.clientY));
}, { passive: false });

document.addEventListener("click", (event) => {
  const control = event.target.closest?.("[data-zoom]");
  if (control) {
    const svg = picture();
    if (control.dataset.zoom === "all") showAll(svg);
    else zoom(svg, control.dataset.zoom === "in" ? STEP : 1 / STEP);
    return;
  }
  const file = event.target.closest?.("[data-picture-file]");
  if (file) file.href = themed(file.href);
  const image = event.target.closest?.("[data-picture-png]");
  if (image) savePng(themed(image.dataset.picturePng));
  const node = event.target.closest?.("svg[data-picture] a.n");
  if (!node || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (dragged && event.detail) { dragged = false; return; }
  // Enter on what is selected already goes where its panel leads.
  if (!event.detail && node.hasAttribute("aria-current")) document.querySelector("#node [data-opens]")?.click();
  else select(node.closest("svg[data-picture]"), node);
});

document.addEventListener("dblclick", (event) => {
  const node = event.target.closest?.("svg[data-picture] a.n");
  if (node) { event.preventDefault(); expand(node); }
});

const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// Before the single keys of the console (keys.js): inside the picture they mean the picture.
document.addEventListener("keydown", (event) => {
  const svg = event.target.closest?.("svg[data-picture]");
  if (!svg || event.ctrlKey || event.metaKey || event.altKey) return;
  const node = event.target.closest("a.n");
  const way = WAYS[event.key];
  if (way && node && !event.shiftKey) neighbour(svg, node, ...way)?.focus({ preventScroll: true });
  else if (way) pan(svg, way[0] * 0.12, way[1] * 0.12);
  else if (event.key === "+" || event.key === "=") zoom(svg, STEP);
  else if (event.key === "-") zoom(svg, 1 / STEP);
  else if (event.key === "0") showAll(svg);
  else if (event.key === "e" && node) expand(node);
  else return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);

document.addEventListener("focusin", (event) => {
  const node = event.target.closest?.("svg[data-picture] a.n");
  if (node && !drag) reveal(node.closest("svg[data-picture]"), node);
});

// --- files ---

function themed(href) {
  const url = new URL(href, location.href);
  const chosen = document.documentElement.dataset.theme;
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  url.searchParams.set("theme", dark ? "dark" : "light");
  return url.href;
}

async function savePng(href) {
  const image = new Image();
  image.src = href;
  await image.decode();
  // Twice the size for print, within what canvases can hold.
  const scale = Math.min(2, 8000 / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(image.naturalWidth * scale);
  canvas.height = Math.round(image.naturalHeight * scale);
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => { canvas.toBlob(done, "image/png"); });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  const key = new URL(href).searchParams.get("node") || "graph";
  link.download = `${key.replace(/[^A-Za-z0-9.-]+/g, "-").slice(0, 80)}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

document.addEventListener("htmx:afterSettle", open);
open();
