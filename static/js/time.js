// Keeps <time data-time> moving, on the server's clock. The words must agree with
// templatetags/dg/words.py, which writes the first ones.

const offset = (() => {
  const told = Date.parse(document.body.dataset.now || "");
  return Number.isFinite(told) ? told - Date.now() : 0;
})();
export const serverNow = () => Date.now() + offset;

const pad = (value) => String(value).padStart(2, "0");
const days = (count) => `${count} day${count === 1 ? "" : "s"}`;

function long(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return whole % 60 ? `${Math.floor(whole / 60)} min ${pad(whole % 60)} s` : `${whole / 60} min`;
  if (whole < 86400) {
    const minutes = Math.floor((whole % 3600) / 60);
    return `${Math.floor(whole / 3600)} h${minutes ? ` ${pad(minutes)} min` : ""}`;
  }
  const hours = Math.floor((whole % 86400) / 3600);
  const count = Math.floor(whole / 86400);
  return days(count) + (hours && count < 60 ? ` ${hours} h` : "");
}

function ago(moment, now) {
  const span = Math.abs(now - moment) / 1000;
  if (span < 1) return "now";
  let text;
  if (span < 60) text = `${Math.floor(span)} s`;
  else if (span < 3600) text = `${Math.floor(span / 60)} min`;
  else if (span < 86400) text = `${Math.floor(span / 3600)} h`;
  else if (span < 7 * 86400) text = days(Math.floor(span / 86400));
  else return null;
  return now > moment ? `${text} ago` : `in ${text}`;
}

function left(moment, now) {
  const seconds = (moment - now) / 1000;
  if (seconds < 0) return `${long(-seconds)} late`;
  const whole = Math.ceil(seconds);
  return whole >= 3600
    ? `${Math.floor(whole / 3600)}:${pad(Math.floor((whole % 3600) / 60))}:${pad(whole % 60)}`
    : `${Math.floor(whole / 60)}:${pad(whole % 60)}`;
}

const words = { ago, left, since: (moment, now) => long((now - moment) / 1000) };

function tick() {
  if (document.hidden) return;
  const now = serverNow();
  for (const time of document.querySelectorAll("time[data-time]")) {
    const text = words[time.dataset.time]?.(Date.parse(time.dateTime), now);
    if (text && text !== time.textContent) time.textContent = text;
    if (time.dataset.time === "left" && now > Date.parse(time.dateTime)) time.dataset.late = "";
  }
}
setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);
