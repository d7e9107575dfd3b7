// Keeps the banner of an open page current: what keeps the service from judging calls.
const SOON_MS = 2000;
const LATER_MS = 10000;

const banner = document.getElementById("banner");
let isLeaving = false;

async function refresh() {
  if (!document.hidden) show(await load());
  plan();
}

// Returns null if the notices are not known, e.g. after the end of a session.
async function load() {
  try {
    const response = await fetch(banner.dataset.url);
    return response.ok ? await response.json() : null;
  } catch {
    const text = "The service cannot be reached. This page does not change until it can.";
    return isLeaving ? null : [{ text, is_error: true, is_temporary: true }];
  }
}

function show(notices) {
  if (notices === null) return;
  const lines = notices.map((notice) => {
    const line = Object.assign(document.createElement("p"), { textContent: notice.text });
    line.classList.toggle("error", notice.is_error);
    line.toggleAttribute("data-temporary", notice.is_temporary);
    return line;
  });
  // Screen readers announce every change, so an equal notice stays as it is.
  const texts = (elements) => [...elements].map((line) => line.textContent.trim()).join("\n");
  if (texts(lines) !== texts(banner.children)) banner.replaceChildren(...lines);
}

function plan() {
  setTimeout(refresh, banner.querySelector("[data-temporary]") ? SOON_MS : LATER_MS);
}

addEventListener("pagehide", () => (isLeaving = true));
plan();
