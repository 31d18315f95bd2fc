// Live regions: an element with data-live="<topic>" and hx-get + hx-trigger="live" is fetched
// again when a message of that topic arrives: at most twice a second (data-live-every says another
// pace), the last one always, never under an open menu, a pressed button or a typing hand. Rows that
// arrive glow once. data-live-poll="10" also looks every ten seconds: silence is news nobody sends.

const EVERY_MS = 500;
const UNHEARD_MS = 50;
const PATIENCE_MS = 5000;
const regions = new Map(); // id -> { last, timer, asked, busy, again, patience, pending }

// Topics start with "tenant:"; an id inside one may itself hold spaces.
export const topicsOf = (element) => (element.dataset.live || element.dataset.topics || "")
  .split(/\s+(?=tenant:)/).map((topic) => topic.trim()).filter(Boolean);

const keyOf = (element) => element.id || element.getAttribute("hx-get");
const stateOf = (element) => {
  const key = keyOf(element);
  if (!regions.has(key)) {
    regions.set(key, { last: 0, timer: 0, asked: false, busy: false, again: false, patience: 0, pending: 0 });
  }
  return regions.get(key);
};

// Somebody marks text to copy it.
function marking(element) {
  const marked = document.getSelection();
  return Boolean(marked && !marked.isCollapsed && element.contains(marked.anchorNode));
}

function occupied(element) {
  // What is replaced between press and release never hears the click.
  if (element.matches(":active")) return true;
  if (element.querySelector(":popover-open, dialog[open]")) return true;
  const open = document.querySelector("[popover]:popover-open");
  if (open && element.querySelector(`[popovertarget="${CSS.escape(open.id)}"]`)) return true;
  if (element.hasAttribute("data-live-steady") && marking(element)) return true;
  const active = document.activeElement;
  return Boolean(active && element.contains(active) && active.matches("input:not([type=checkbox], [type=radio]), textarea, select"));
}

function fetchNow(element) {
  const state = stateOf(element);
  clearTimeout(state.timer);
  state.timer = 0;
  if (!element.isConnected) return;
  if (state.busy) { state.again = true; return; }
  if (occupied(element)) { state.timer = setTimeout(() => fetchNow(current(element)), 1000); return; }
  state.asked = false;
  window.htmx.trigger(element, "live");
  // htmx listens to an element some milliseconds after it came in: until then nobody hears.
  if (!state.asked) { state.timer = setTimeout(() => fetchNow(current(element)), UNHEARD_MS); return; }
  state.last = Date.now();
  state.pending = 0;
}

function sent(element) {
  const state = stateOf(element);
  state.asked = state.busy = true;
  clearTimeout(state.patience);
  state.patience = setTimeout(() => free(element), PATIENCE_MS);
}

// The answer came, or is not waited for any longer: what was asked for meanwhile is due.
function free(element) {
  const state = stateOf(element);
  clearTimeout(state.patience);
  state.busy = false;
  if (!state.again) return;
  state.again = false;
  refresh(current(element));
}

const current = (element) => (element.isConnected ? element : (element.id && document.getElementById(element.id)) || element);

export function refresh(element) {
  const state = stateOf(element);
  if (element.dataset.liveMode === "announce" || element.hasAttribute("data-live-paused")) {
    state.pending += 1;
    announce(element, state.pending);
    return;
  }
  if (state.timer) return;
  const wait = Math.max(0, state.last + Number(element.dataset.liveEvery || EVERY_MS) - Date.now());
  state.timer = setTimeout(() => fetchNow(current(element)), wait);
}

// "12 new" on a button; pressing it fetches. New rows never move under the pointer.
function announce(element, count) {
  for (const button of document.querySelectorAll(`[data-live-announce="${CSS.escape(element.id)}"]`)) {
    button.hidden = false;
    const slot = button.querySelector("[data-count]") || button;
    slot.textContent = count > 999 ? "999+" : String(count);
  }
}

export function onMessage(topic, message) {
  for (const element of document.querySelectorAll("[data-live]")) {
    if (!topicsOf(element).includes(topic)) continue;
    const only = element.dataset.liveMessages;
    if (only && message && !only.split(/[\s,]+/).includes(message)) continue;
    refresh(element);
  }
}

export const refreshAll = () => document.querySelectorAll("[data-live]").forEach((element) => {
  if (element.dataset.liveMode !== "announce" && !element.hasAttribute("data-live-paused")) refresh(element);
});

setInterval(() => {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("[data-live-poll]")) {
    const state = stateOf(element);
    state.last ||= Date.now();
    if (Date.now() - state.last >= 1000 * Number(element.dataset.livePoll)) refresh(element);
  }
}, 1000);

// What a page asks for by itself is no sign of a person: it does not keep the session alive.
document.addEventListener("htmx:configRequest", (event) => {
  const { elt, triggeringEvent } = event.detail;
  const again = !triggeringEvent && elt.matches('[hx-trigger^="every"]');
  if (again || triggeringEvent?.type === "live") event.detail.headers["X-Background"] = "1";
  if (elt.matches("[data-live]")) sent(elt);
});

// Whatever a person has just done shows at once, also while the socket is away.
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && event.detail.requestConfig?.verb === "post") refreshAll();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-live-announce]");
  if (button) {
    button.hidden = true;
    const element = document.getElementById(button.dataset.liveAnnounce);
    if (element) fetchNow(element);
  }
  const toggle = event.target.closest("[data-live-toggle]");
  if (toggle) {
    const element = document.getElementById(toggle.dataset.liveToggle);
    if (!element) return;
    const paused = element.toggleAttribute("data-live-paused");
    toggle.setAttribute("aria-pressed", String(paused));
    const word = toggle.querySelector("[data-toggle-word]");
    if (word) word.textContent = paused ? "Go on" : "Pause";
    toggle.querySelector("use")?.setAttribute("href", paused ? "#i-play" : "#i-pause");
    if (!paused) {
      document.querySelectorAll(`[data-live-announce="${CSS.escape(element.id)}"]`).forEach((each) => { each.hidden = true; });
      fetchNow(element);
    }
  }
});

// --- swaps: keep what the person has chosen, let arrivals glow, say failure on the panel ---

let before = null;

// Whoever works by keyboard keeps the place: the same control of the same row, else of the region.
const CONTROLS = "a[href], button, input:not([type=hidden]), [tabindex]";
function placeOf(active, target) {
  if (!active || active === target || !target.contains(active)) return null;
  const row = active.closest("[data-key]");
  const inside = row && target.contains(row) ? row : target;
  return { key: inside === target ? "" : row.dataset.key, at: [...inside.querySelectorAll(CONTROLS)].indexOf(active) };
}
function refocus(place, target) {
  if (!place || place.at < 0 || target.contains(document.activeElement)) return;
  const inside = place.key ? target.querySelector(`[data-key="${CSS.escape(place.key)}"]`) : target;
  inside?.querySelectorAll(CONTROLS)[place.at]?.focus({ preventScroll: true });
}

// data-live-steady: rows come in on top, and what the person looks at stays where it is: the row under
// the focus or under a pointer that just moved, else the first one in sight once the list is scrolled.
const POINTING_MS = 2000;
let pointed = 0;
document.addEventListener("pointermove", () => { pointed = Date.now(); }, { passive: true });

function steady(target) {
  if (!target.hasAttribute("data-live-steady")) return null;
  const rows = [...target.querySelectorAll("[data-key]")];
  const held = rows.find((row) => row.contains(document.activeElement))
    || (Date.now() - pointed < POINTING_MS && rows.find((row) => row.matches(":hover")))
    || (target.getBoundingClientRect().top < 0 && rows.find((row) => row.getBoundingClientRect().top >= 0));
  if (!held) return null;
  // that row may be the one that moves: then the next one stays
  return rows.slice(rows.indexOf(held)).map((row) => ({ key: row.dataset.key, top: row.getBoundingClientRect().top }));
}
function hold(places, target) {
  for (const { key, top } of places || []) {
    const row = target.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (!row) continue;
    window.scrollBy({ top: row.getBoundingClientRect().top - top, behavior: "instant" });
    return;
  }
}

document.addEventListener("htmx:beforeSwap", (event) => {
  const target = event.detail.target;
  if (!target?.matches?.("[data-live]") || event.detail.isError) return;
  if (event.detail.requestConfig?.triggeringEvent?.type === "live" && occupied(target)) {
    event.detail.shouldSwap = false;
    setTimeout(() => refresh(current(target)), 300);
    return;
  }
  before = {
    id: target.id,
    paused: target.hasAttribute("data-live-paused"),
    keys: new Set([...target.querySelectorAll("[data-key]")].map((row) => row.dataset.key)),
    open: new Set([...target.querySelectorAll("details[open][id]")].map((part) => part.id)),
    scroll: target.querySelector(".table-wrap")?.scrollLeft || 0,
    focus: placeOf(document.activeElement, target),
    steady: steady(target),
  };
});

document.addEventListener("htmx:afterSwap", () => {
  if (!before) return;
  const target = document.getElementById(before.id);
  if (target) {
    if (before.paused) target.setAttribute("data-live-paused", "");
    for (const id of before.open) document.getElementById(id)?.setAttribute("open", "");
    if (before.keys.size) {
      for (const row of target.querySelectorAll("[data-key]")) if (!before.keys.has(row.dataset.key)) row.classList.add("arrived");
    }
    const wrap = target.querySelector(".table-wrap");
    if (wrap) wrap.scrollLeft = before.scroll;
    refocus(before.focus, target);
    hold(before.steady, target);
  }
  before = null;
});

// htmx names the next element that is still in the page when the one that asked was replaced by its answer.
const asker = (event) => event.detail.requestConfig?.elt || event.detail.elt;

function settled(event) {
  const element = asker(event);
  if (element?.matches?.("[data-live]")) free(element);
}
document.addEventListener("htmx:afterRequest", (event) => {
  settled(event);
  const element = asker(event);
  if (!element?.matches?.("[data-live]") || event.detail.successful) return;
  if (element.querySelector(":scope > .error-line")) return;
  const line = document.createElement("p");
  line.className = "error-line";
  line.textContent = "Could not be refreshed; this is what was last known. Trying again.";
  (element.querySelector(":scope > .panel-head") || element.firstElementChild)?.after(line);
  setTimeout(() => refresh(current(element)), 5000);
});
