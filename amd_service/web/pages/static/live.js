// Shows whether the page receives live updates, and connects again after a lost connection.
import { localise } from "./times.js";

// The service sends a sign of life every 15 s.
const SILENCE_MS = 40_000;
// A short interruption, for example a restart of the service, is not shown.
const PATIENCE_MS = 1_500;
const RETRY_MS = 3_000;

const TEXTS = {
  live: "Live: calls appear as they change.",
  connecting: "Connecting…",
  reconnecting: "Connection lost, reconnecting… The calls below may be old.",
  outage: "The database is unavailable. The calls below may be old.",
  "signed-out": "You are signed out. Load the page again to sign in.",
};

let silence;
let patience;

function show(element, state) {
  clearTimeout(patience);
  if (element.dataset.state === state) return;
  element.dataset.state = state;
  element.textContent = TEXTS[state];
}

function isAlive(element, connection) {
  clearTimeout(silence);
  silence = setTimeout(() => {
    lose(element);
    connection.reader?.cancel(); // the extension connects again
  }, SILENCE_MS);
}

function lose(element) {
  clearTimeout(patience);
  patience = setTimeout(() => show(element, "reconnecting"), PATIENCE_MS);
}

function on(name, handle) {
  document.body.addEventListener(name, (event) => {
    if (event.target.id === "live") handle(event.target, event.detail ?? {}, event);
  });
}

on("htmx:sse:after:connection", (element, { connection }) => {
  show(element, "live");
  isAlive(element, connection);
});
on("htmx:sse:before:message", (element, { connection, message }) => {
  show(element, message.event === "outage" ? "outage" : message.event === "alive" ? element.dataset.state : "live");
  isAlive(element, connection);
});
on("htmx:sse:after:message", () => localise(document));
on("htmx:sse:before:connection", (element, { connection }) => {
  if (connection.attempt > 0) lose(element);
});
on("htmx:sse:error", (element, { status }) => {
  if (status === 401 || status === 403) show(element, "signed-out");
  else lose(element);
});

// The extension connects again only after a connection that had begun.
function connectLater(element) {
  lose(element);
  const url = element.getAttribute("hx-sse:connect");
  setTimeout(() => element.isConnected && htmx.ajax("GET", url, { source: element }), RETRY_MS);
}
on("htmx:error", connectLater);
on("htmx:response:error", connectLater);
