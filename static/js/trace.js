// The page of one trace: which row is under the glass, and bringing it into sight.

const glass = () => document.getElementById("inspector");
const rowOf = (key) => document.getElementById(`e-${key.replace("event-", "")}`)?.closest("[data-row]");

function mark() {
  const key = glass()?.dataset.event;
  if (!key) return null;
  const row = rowOf(key);
  for (const other of document.querySelectorAll(".windows [data-row][aria-current]")) {
    if (other !== row) other.removeAttribute("aria-current");
  }
  row?.setAttribute("aria-current", "true");
  return row;
}

const inSight = (element) => {
  const box = element.getBoundingClientRect();
  return box.top >= 0 && box.top < innerHeight - 80;
};

document.addEventListener("htmx:afterSwap", (event) => {
  const target = event.detail.target;
  if (!target?.closest) return;
  if (target.id === "inspector") {
    mark()?.scrollIntoView({ block: "nearest" });
    // In one column the glass stands below the history: a click must show what it did.
    if (glass() && !inSight(glass())) glass().scrollIntoView({ block: "start" });
  } else if (document.querySelector(".windows")) mark();
});

// While the slider is held it says where it is; let go, the page is fetched as it was then.
document.addEventListener("input", (event) => {
  if (event.target.id !== "asof") return;
  const out = document.getElementById("asof-o");
  const bar = event.target.parentElement.querySelector("progress");
  if (bar) bar.value = Number(event.target.value);
  if (out) out.textContent = `${Number(event.target.value).toLocaleString("en")} of ${Number(event.target.max).toLocaleString("en")}`;
});

// Beyond the rows that are drawn, the step is a new page around that event.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-goes]");
  if (!link) return;
  const to = new URL(link.href).searchParams.get("event");
  if (to !== null && !document.getElementById(`e-${to}`)) event.stopPropagation();
}, true);

// The event under the glass is in sight in the history's own scroller, and a link to one event
// opens with it in sight on the page.
function open() {
  const row = mark();
  const scroller = row?.closest(".windows");
  if (!scroller) return;
  if (scroller.scrollHeight > scroller.clientHeight + 1) {
    const offset = row.getBoundingClientRect().top - scroller.getBoundingClientRect().top;
    scroller.scrollTop += offset - scroller.clientHeight / 2;
  }
  if (new URLSearchParams(location.search).has("event") && !inSight(row)) row.scrollIntoView({ block: "center" });
}
open();
