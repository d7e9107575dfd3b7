// Shows every <time> in the reader's time zone, with UTC on hover. Runs again for content that htmx adds.
const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function localise(root) {
  for (const element of root.querySelectorAll("time[datetime]:not([data-localised])")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.valueOf())) continue;
    element.textContent = format.format(moment);
    element.title = `${moment.toISOString().replace("T", " ").replace(/\.\d+Z$/, "")} UTC`;
    element.dataset.localised = "";
  }
}

localise(document);
new MutationObserver(() => localise(document)).observe(document.body, { childList: true, subtree: true });
