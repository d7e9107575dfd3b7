// The page of one call: keys, updates, and messages about failed requests.
const failure = document.getElementById("failure");
const part = () => document.getElementById("call");

document.body.addEventListener("htmx:before:request", ({ target }) => {
  if (target !== part()) failure.replaceChildren();
});
document.body.addEventListener("htmx:error", ({ target }) => {
  if (target === part()) return; // the next update tries again
  const text = Object.assign(document.createElement("p"), { className: "note error", role: "alert" });
  text.textContent = "The service cannot be reached. Try again.";
  failure.replaceChildren(text);
});

// Ask for an update. The response is empty if nothing has changed.
const UNFINISHED_MS = 1000;
const FINISHED_MS = 5000;
let asked = 0;
setInterval(() => {
  const pause = part().hasAttribute("data-unfinished") ? UNFINISHED_MS : FINISHED_MS;
  if (document.hidden || Date.now() - asked < pause) return;
  asked = Date.now();
  htmx.trigger(part(), "refresh");
}, UNFINISHED_MS);

// An update replaces the part, so open details are opened again.
let opened = [];
document.body.addEventListener("htmx:before:swap", () => {
  opened = [...part().querySelectorAll("details[open]")].map((details) => details.id);
});
document.body.addEventListener("htmx:after:swap", () => {
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
});

const press = (selector) => () => document.querySelector(selector)?.click();
const keys = { j: press("#neighbours a[rel=next]"), k: press("#neighbours a[rel=prev]") };
for (const digit of "12345") keys[digit] = press(`button[data-key="${digit}"]`);

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, select, textarea");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
});
