// Shows every <time> in the reader's time zone, without the present year, and with UTC on hover. Runs again for content
// that htmx adds.
const parts = { month: "short", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit" };
const inThisYear = new Intl.DateTimeFormat(undefined, parts);
const inOtherYears = new Intl.DateTimeFormat(undefined, { year: "numeric", ...parts });

export function localise(root) {
  for (const element of root.querySelectorAll("time[datetime]:not([data-localised])")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.valueOf())) continue;
    const isThisYear = moment.getFullYear() === new Date().getFullYear();
    element.textContent = (isThisYear ? inThisYear : inOtherYears).format(moment);
    element.title = `${moment.toISOString().replace("T", " ").replace(/\.\d+Z$/, "")} UTC`;
    element.dataset.localised = "";
  }
}

localise(document);
new MutationObserver(() => localise(document)).observe(document.body, { childList: true, subtree: true });
