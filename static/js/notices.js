// Toasts (polite, never stealing focus), copying, and what htmx could not do, in words.
import { wantsProof } from "./reauth.js";

const KEEP_MS = 6000;
const region = () => document.getElementById("toasts");

export function toast(text, tone = "ok") {
  const template = document.getElementById("toast-template");
  if (!template || !region()) return;
  const note = template.content.firstElementChild.cloneNode(true);
  note.className = `toast tone-${tone}`;
  note.querySelector("use").setAttribute("href", { bad: "#s-bad", warn: "#s-warn" }[tone] || "#s-ok");
  note.querySelector("p").textContent = text;
  region().append(note);
  while (region().children.length > 4) region().firstElementChild.remove();
  fade(note);
}

function fade(note) {
  // Refusals stay until dismissed: they say what to do next.
  if (note.matches(".tone-bad, .tone-error")) return;
  const leave = () => {
    if (note.matches(":hover, :focus-within")) setTimeout(leave, 2000);
    else note.remove();
  };
  setTimeout(leave, KEEP_MS);
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("#toasts [data-toast]").forEach(fade));
if (document.readyState !== "loading") document.querySelectorAll("#toasts [data-toast]").forEach(fade);

document.addEventListener("toast", (event) => {
  if (event.detail?.text) toast(event.detail.text, event.detail.tone);
});

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    toast("Your browser does not let this page use the clipboard.", "warn");
    return;
  }
  const use = button.querySelector("use");
  const before = use?.getAttribute("href");
  use?.setAttribute("href", "#i-check");
  setTimeout(() => use?.setAttribute("href", before), 1200);
  toast(button.dataset.copied || "Copied.");
}

document.addEventListener("click", (event) => {
  event.target.closest("[data-toast-close]")?.closest("[data-toast]")?.remove();
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  event.preventDefault();
  event.stopPropagation();
  copy(button);
});

// A refusal is problem+json with a sentence that says how to go on; a person's click shows it.
// A refetch that live.js asked for says so on the panel itself (regions.js), not in a toast.
function refused(event) {
  const element = event.detail.elt;
  if (element?.matches?.("[data-live]") && event.detail.requestConfig?.triggeringEvent?.type === "live") return;
  if (wantsProof(event.detail.xhr)) return; // a dialog asks, and then it goes on
  tellRefusal(event.detail.xhr);
}

function tellRefusal(xhr) {
  const status = xhr?.status;
  let text = status ? `The server refused this (${status}). Try again in a moment.` : "The server did not answer. Nothing was changed as far as this page knows.";
  try { text = JSON.parse(xhr.responseText).detail || text; } catch { /* not JSON: keep the sentence */ }
  toast(text, "bad");
}
// A refusal is never content: without this, htmx would put the JSON of a 422 where the form stood.
document.addEventListener("htmx:beforeSwap", (event) => {
  const kind = event.detail.xhr?.getResponseHeader("Content-Type") || "";
  if (!kind.startsWith("application/problem+json")) return;
  event.detail.shouldSwap = false;
  if (!event.detail.isError) refused(event);
});
document.addEventListener("htmx:responseError", refused);
document.addEventListener("htmx:sendError", refused);
document.addEventListener("htmx:timeout", refused);

// The live message of a click may be faster than its answer, and take away the form that asked. htmx
// speaks to that form only, so whatever the answer says would be lost: say it here.
document.addEventListener("htmx:beforeSend", (event) => {
  const { elt, xhr, requestConfig } = event.detail;
  if (requestConfig?.verb === "get") return;
  xhr.addEventListener("readystatechange", () => {
    if (xhr.readyState !== XMLHttpRequest.DONE || elt.isConnected) return;
    if (xhr.status < 200 || xhr.status >= 400) return tellRefusal(xhr);
    const said = JSON.parse(xhr.getResponseHeader("HX-Trigger") || "{}").toast;
    if (said?.text) toast(said.text, said.tone);
  });
});
