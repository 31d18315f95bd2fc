// One WebSocket per page. A message is a hint: it makes the affected region fetch itself again.
// The frame says truthfully whether the page is live, and content stays readable when it is not.
import { onMessage, refreshAll, topicsOf } from "./regions.js";

const HIDDEN_GRACE_MS = 10_000;
const PING_MS = 20_000;
const BEAT_MS = 5_000; // where others see who is here
const SILENCE_MS = 45_000;
const TOLD_AFTER_MS = 2_000;

const address = document.body.dataset.socket || "";
const cursors = new Map(); // log topic -> last log_seq seen; resumed from there
const subscribed = new Set();
const refused = new Set(); // topics the server said no to: asking again would not help

let socket = null;
let attempts = 0;
let retryTimer = 0;
let hiddenTimer = 0;
let staleTimer = 0;
let heard = 0;
let wasLive = false;
let since = null;
let state = address ? "connecting" : "off";

const clock = (moment) => moment.toTimeString().slice(0, 8);
const isLog = (topic) => /^tenant:[^:]+:(traces$|trace:)/.test(topic);
const wanted = () => {
  const topics = new Set(topicsOf(document.body));
  for (const element of document.querySelectorAll("[data-live]")) topicsOf(element).forEach((topic) => topics.add(topic));
  return topics;
};

function show(next) {
  if (next !== "live" && state === "live") since = new Date();
  state = next;
  document.body.dataset.liveState = next;
  for (const indicator of document.querySelectorAll("[data-live-indicator]")) indicator.dataset.state = next;
  clearTimeout(staleTimer);
  if (next === "live" || next === "off" || next === "paused") stale("");
  else staleTimer = setTimeout(tellStale, next === "ended" ? 0 : TOLD_AFTER_MS);
}

function tellStale() {
  const from = since ? ` since ${clock(since)}` : "";
  stale({
    connecting: "Connecting to live updates. What you see was true when the page was loaded.",
    reconnecting: `Not live${from}: reconnecting. What you see is what was last known.`,
    offline: `This browser is offline${from}. What you see is what was last known.`,
    ended: "Your session or membership ended. Sign in again to go on; what you see is what was last known.",
  }[state] || "");
}

function stale(text) {
  for (const line of document.querySelectorAll("[data-stale-line]")) {
    line.hidden = !text;
    const slot = line.querySelector("[data-stale-text]");
    if (slot && slot.textContent !== text) slot.textContent = text;
    const retry = line.querySelector("[data-live-retry]");
    if (retry) retry.hidden = state === "ended";
  }
}

const send = (frame) => { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame)); };

function syncTopics() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const topics = wanted();
  for (const topic of topics) {
    if (subscribed.has(topic) || refused.has(topic)) continue;
    subscribed.add(topic);
    const frame = { type: "subscribe", topic };
    if (cursors.has(topic)) frame.after = cursors.get(topic);
    send(frame);
  }
  for (const topic of [...subscribed]) {
    if (topics.has(topic)) continue;
    subscribed.delete(topic);
    send({ type: "unsubscribe", topic });
  }
}

function head(value) {
  if (!Number.isFinite(value)) return;
  for (const slot of document.querySelectorAll("[data-head]")) {
    if (value <= Number(slot.dataset.head || 0)) continue;
    slot.dataset.head = value;
    slot.textContent = value.toLocaleString("en-US");
    slot.closest("[data-head-box]")?.removeAttribute("hidden");
  }
}

function received(frame) {
  const { type, topic } = frame;
  if (type === "subscribed") {
    if (isLog(topic) && !cursors.has(topic) && Number.isFinite(frame.cursor)) cursors.set(topic, frame.cursor);
  } else if (type === "event") {
    cursors.set(topic, Math.max(cursors.get(topic) || 0, frame.log_seq));
    head(frame.log_seq);
    onMessage(topic, frame.message);
  } else if (type === "resync") {
    cursors.set(topic, frame.cursor);
    onMessage(topic, "");
  } else if (type === "snapshot" || type === "state") {
    head(frame.data?.head);
    // The page was rendered moments ago; a first snapshot tells it nothing new.
    if (type === "state" || wasLive) onMessage(topic, frame.message || "");
  } else if (type === "error" && topic) {
    if (frame.code === "topic.already_subscribed") return;
    subscribed.delete(topic);
    if (frame.code === "cursor.ahead") cursors.delete(topic); // the log was restored: start at its head
    else if (frame.code !== "database.unavailable") refused.add(topic);
    setTimeout(syncTopics, 3000);
  }
}

function connect() {
  clearTimeout(retryTimer);
  if (!address || socket || state === "ended") return;
  if (document.hidden && state === "paused") return;
  show(attempts || wasLive ? "reconnecting" : "connecting");
  const mine = new WebSocket(address);
  socket = mine;
  mine.onopen = () => {
    if (socket !== mine) return;
    const back = wasLive;
    attempts = 0;
    heard = Date.now();
    subscribed.clear();
    refused.clear();
    syncTopics();
    show("live");
    // Whatever happened meanwhile: read once from the database.
    if (back) refreshAll();
    wasLive = true;
  };
  mine.onmessage = (event) => {
    heard = Date.now();
    try { received(JSON.parse(event.data)); } catch { /* not a frame of ours: the next one may be */ }
  };
  mine.onclose = (event) => {
    if (socket !== mine) return;
    socket = null;
    subscribed.clear();
    if (event.code === 4401 || event.code === 4403) return show("ended");
    if (document.hidden && state === "paused") return undefined;
    return later();
  };
}

function later() {
  show(navigator.onLine === false ? "offline" : "reconnecting");
  attempts += 1;
  const base = Math.min(20_000, 400 * 2 ** Math.min(attempts, 6));
  clearTimeout(retryTimer);
  retryTimer = setTimeout(connect, base / 2 + Math.random() * base / 2);
}

function drop(next) {
  const old = socket;
  socket = null;
  subscribed.clear();
  old?.close(1000);
  if (next) show(next);
}

// Somebody at a form marked data-presence-act is about to do something: others are told so.
let doing = "viewing";
let pinged = 0;
const present = () => [...subscribed].some((topic) => topic.split(":")[2] === "presence");
const acting = () => (document.activeElement?.closest("[data-presence-act]") ? "acting" : "viewing");

function ping() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  if (Date.now() - heard > SILENCE_MS) { drop(); later(); return; }
  const now = acting();
  const due = Date.now() - pinged >= (present() ? BEAT_MS : PING_MS) - 200;
  if (!due && (now === doing || !present())) return;
  doing = now;
  pinged = Date.now();
  send(present() ? { type: "ping", doing } : { type: "ping" });
}
setInterval(ping, BEAT_MS);
document.addEventListener("focusin", () => setTimeout(ping, 150));
document.addEventListener("focusout", () => setTimeout(ping, 150));

document.addEventListener("visibilitychange", () => {
  clearTimeout(hiddenTimer);
  if (!address || state === "ended") return;
  if (document.hidden) hiddenTimer = setTimeout(() => { clearTimeout(retryTimer); drop("paused"); }, HIDDEN_GRACE_MS);
  else if (!socket) { attempts = 0; connect(); }
});
addEventListener("offline", () => { if (address && state !== "ended") { drop("offline"); } });
addEventListener("online", () => { attempts = 0; connect(); });
addEventListener("pagehide", () => drop());
addEventListener("pageshow", (event) => { if (event.persisted) { refreshAll(); connect(); } });
document.addEventListener("htmx:afterSettle", syncTopics);
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-live-retry]") && !socket) { attempts = 0; connect(); }
});

show(state);
connect();
