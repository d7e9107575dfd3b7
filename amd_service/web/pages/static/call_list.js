// The list of calls: converts times of the filter, and moves between rows with the keyboard.
const form = document.getElementById("filters");
const failure = document.getElementById("failure");

// Times are typed in the reader's time zone. The URL has them in UTC, so that a view is the same for everybody.
const local = (moment) => {
  const shifted = new Date(moment.valueOf() - moment.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 19);
};
for (const field of form.querySelectorAll("input[type=datetime-local]")) {
  if (field.dataset.moment) field.value = local(new Date(field.dataset.moment));
  form.querySelector(`label[for=${field.id}] [data-zone]`).textContent = "(your time)";
}
form.addEventListener("formdata", ({ formData }) => {
  for (const field of form.querySelectorAll("input[type=datetime-local]")) {
    if (field.value) formData.set(field.name, new Date(field.value).toISOString().replace(/\.\d+Z$/, "Z"));
  }
  for (const [name, value] of [...formData]) {
    if (value === "") formData.delete(name);
  }
});

// htmx reports a response with an error status, and a request without a response.
const show = (text) => { failure.textContent = text; failure.hidden = text === ""; };
const onRequest = (name, handle) => document.addEventListener(name, ({ detail }) => {
  if (detail.ctx?.sourceElement === form) handle(detail.ctx);
});
onRequest("htmx:before:request", () => show(""));
onRequest("htmx:response:error", ({ text }) => show(new DOMParser().parseFromString(text, "text/html").body.textContent.trim()));
onRequest("htmx:error", () => show("The service cannot be reached. Try again."));

const links = () => [...document.querySelectorAll("#rows tbody a")];
const move = (step) => {
  const all = links();
  const current = all.indexOf(document.activeElement?.closest("tr")?.querySelector("a"));
  all[Math.min(Math.max(current + step, 0), all.length - 1)]?.focus();
};
const keys = {
  "/": () => document.getElementById("q").select(),
  j: () => move(1),
  k: () => move(-1),
  n: () => document.querySelector("#rows a[rel=next]")?.click(),
  p: () => document.querySelector("#rows a[rel=prev]")?.click(),
};
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
});
