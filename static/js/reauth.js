// Some actions ask again who it is. The refused request is kept, a dialog asks for a password or a
// code, and then the very same request is sent once more: nothing has to be typed twice.

let kept = null;
const dialog = () => document.getElementById("reauth");

export function wantsProof(xhr) {
  if (xhr?.status !== 403) return false;
  try { return Boolean(JSON.parse(xhr.responseText).reauth); } catch { return false; }
}

async function ask() {
  const answer = await fetch("/reauth", { headers: { "HX-Request": "true" }, credentials: "same-origin" });
  if (answer.status !== 200) { location.assign("/signin"); return; }
  const place = document.getElementById("reauth-form");
  place.innerHTML = await answer.text();
  window.htmx.process(place);
  dialog().showModal();
  place.querySelector("[autofocus]")?.focus();
}

document.addEventListener("htmx:responseError", (event) => {
  if (!wantsProof(event.detail.xhr) || !dialog()) return;
  const { verb, path, formData, target, elt } = event.detail.requestConfig;
  kept = { verb, path, formData, target, elt };
  ask();
});

document.addEventListener("proved", () => {
  dialog()?.close();
  if (!kept) return;
  const { verb, path, formData, target, elt } = kept;
  kept = null;
  const source = elt.isConnected ? elt : document.body;
  window.htmx.ajax(verb.toUpperCase(), path, { source, target, values: formData });
});

document.addEventListener("close", (event) => {
  if (event.target !== dialog()) return;
  document.getElementById("reauth-form").replaceChildren(); // no password stays in the page
}, true);
