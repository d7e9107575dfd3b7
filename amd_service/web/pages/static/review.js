// Keys of the review page. The player hears space and the arrow keys itself.
const FIELDS = "input, textarea, select, [contenteditable]";
const keys = document.getElementById("keys");

function press(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || keys.open) return;
  if (event.target.closest(FIELDS)) {
    if (event.key === "Escape") document.getElementById("call-heading").focus();
    return;
  }
  const action = {
    s: () => document.querySelector("#skip button:not([hidden])")?.click(),
    u: () => document.getElementById("undo")?.click(),
    n: () => document.getElementById("note")?.focus(),
    "?": () => keys.showModal(),
  }[event.key] ?? answerWith(event.key);
  if (!action) return;
  event.preventDefault();
  action();
}

function answerWith(key) {
  const button = /^[1-5]$/.test(key) && document.querySelector(`#answer [data-key="${key}"]`);
  return button ? () => button.click() : undefined;
}

// After an answer, the focus is on the next call, and a screen reader says what was saved.
function arrive(event) {
  const target = event.detail.ctx.target;
  if (target.id !== "review") return;
  document.getElementById("review-error").replaceChildren();
  document.getElementById("announcement").textContent = document.querySelector("#verdict > span")?.textContent ?? "";
  document.getElementById("call-heading").focus();
}

// A recording that is gone cannot be reviewed: offer to skip the call.
function offerToSkip() {
  document.querySelector("#skip button[value=skipped]").hidden = true;
  document.getElementById("cannot-listen").hidden = false;
}

document.addEventListener("keydown", press);
document.addEventListener("htmx:after:swap", arrive);
document.addEventListener("player-failed", offerToSkip);
document.getElementById("show-keys").addEventListener("click", () => keys.showModal());
