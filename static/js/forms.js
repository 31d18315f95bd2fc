// Forms: typed confirmation, fields that depend on a choice, filters that apply on change.

document.addEventListener("input", (event) => {
  const field = event.target.closest("[data-confirm-match]");
  if (!field) return;
  const button = field.form?.querySelector("[type=submit]");
  // Only a courtesy: the server checks the typed name again.
  if (button) button.disabled = field.value.trim() !== field.dataset.confirmMatch;
});

// <fieldset data-shown-when="mode=rebuild"> is shown and sent only while the form says so.
function sync(form) {
  const data = new FormData(form);
  for (const part of form.querySelectorAll("[data-shown-when]")) {
    const [name, values] = part.dataset.shownWhen.split("=");
    const shown = values.split("|").includes(data.get(name));
    part.hidden = !shown;
    if ("disabled" in part) part.disabled = !shown;
    for (const field of part.querySelectorAll("input, select, textarea")) field.disabled = !shown;
  }
  const asks = form.querySelector("[data-confirm-from]");
  if (asks) {
    asks.dataset.confirmMatch = data.get(asks.dataset.confirmFrom) || "";
    const echo = form.querySelector("[data-confirm-echo]");
    if (echo) echo.textContent = asks.dataset.confirmMatch;
    const button = form.querySelector("[type=submit]");
    if (button) button.disabled = !asks.disabled && asks.value.trim() !== asks.dataset.confirmMatch;
  }
}

document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (!form) return;
  if (form.matches("[data-depends]")) sync(form);
  if (event.target.matches("[data-submit]")) form.requestSubmit();
});
const syncAll = () => document.querySelectorAll("form[data-depends]").forEach(sync);
document.addEventListener("htmx:afterSettle", syncAll);
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", syncAll);
else syncAll();

// A GET filter form sends only what is filled in, so the address stays short enough to send.
document.addEventListener("formdata", (event) => {
  if (!event.target.matches("[data-lean]")) return;
  for (const [name, value] of [...event.formData.entries()]) if (value === "") event.formData.delete(name);
});
