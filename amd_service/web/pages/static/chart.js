// Draws the verdicts over time, and writes them into a table for people who do not see the chart.
import uPlot from "./vendor/uplot/uPlot.esm.js";

const OUTCOMES = [
  { name: "human", dash: [] },
  { name: "voicemail", dash: [8, 4] },
  { name: "undecided", dash: [2, 3] },
  { name: "failed", dash: [10, 3, 2, 3] },
];
const HEIGHT = 140;
const EVERY_MS = 10_000;

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const count = new Intl.NumberFormat();

let chart;
let drawn; // the counts that the chart shows
let shownIn; // the element that contains the chart

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function options(width, data) {
  const axis = { stroke: colour("muted"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
  return {
    width,
    height: HEIGHT,
    cursor: { y: false },
    legend: { live: true, markers: { width: 2, dash: (_, index) => (index > 1 ? "dashed" : "solid") } },
    scales: { y: { range: (_, __, high) => [0, Math.max(high, 4)] } },
    axes: [{ ...axis, space: 80 }, { ...axis, size: 60, values: (_, values) => values.map((value) => (Number.isInteger(value) ? count.format(value) : "")) }],
    series: [
      { label: "from", value: (_, start, __, index) => (start === null ? "–" : moment.format(new Date((data.starts[index] ?? data.starts.at(-1)) * 1000))) },
      ...OUTCOMES.map(({ name, dash }) => ({
        label: name,
        stroke: colour(name),
        width: 2,
        dash,
        points: { show: data.starts.length < 3 },
        paths: uPlot.paths.stepped({ align: 1 }),
        value: (_, value) => (value === null ? "–" : count.format(value)),
      })),
    ],
  };
}

// A step is drawn up to the next time. So the last one needs a time at which it ends.
function withEnd([starts, ...counts]) {
  if (starts.length < 2) return [starts, ...counts];
  const end = 2 * starts.at(-1) - starts.at(-2);
  return [[...starts, end], ...counts.map((values) => [...values, values.at(-1)])];
}

function draw() {
  chart?.destroy();
  chart = undefined;
  if (drawn === undefined || shownIn === undefined || !shownIn.open) return;
  const place = shownIn.querySelector(".chart");
  const columns = withEnd([drawn.starts, ...OUTCOMES.map(({ name }) => drawn.counts[name])]);
  chart = new uPlot(options(place.clientWidth, drawn), columns, place);
}

function writeTable() {
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const text of ["From", ...OUTCOMES.map(({ name }) => name)]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    head.append(cell);
  }
  const body = table.createTBody();
  drawn.starts.forEach((start, index) => {
    const counts = OUTCOMES.map(({ name }) => drawn.counts[name][index]);
    if (counts.every((value) => value === 0)) return;
    const row = body.insertRow();
    row.insertCell().textContent = moment.format(new Date(start * 1000));
    for (const value of counts) {
      const cell = row.insertCell();
      cell.className = "number";
      cell.textContent = count.format(value);
    }
  });
  shownIn.querySelector(".chart-table .scroll").replaceChildren(table);
}

function describe(text) {
  const state = shownIn.querySelector(".chart-state");
  state.hidden = text === "";
  if (state.textContent !== text) state.textContent = text;
}

async function load() {
  const place = document.getElementById("over-time");
  if (place === null || !place.open || document.hidden) return;
  let found;
  try {
    const response = await fetch(place.dataset.counts, { headers: { accept: "application/json" } });
    if (!response.ok) throw new Error(`status of ${response.status}`);
    found = await response.json();
  } catch {
    if (place.isConnected && place !== shownIn) {
      shownIn = place;
      describe("The counts cannot be loaded. The page tries again.");
    }
    return;
  }
  if (!place.isConnected) return;
  const isSame = place === shownIn && JSON.stringify(found) === JSON.stringify(drawn);
  shownIn = place;
  drawn = found;
  const isEmpty = Object.values(drawn.counts).every((counts) => counts.every((value) => value === 0));
  describe(isEmpty ? "No verdicts in this period." : "");
  place.querySelector(".chart").hidden = isEmpty;
  if (isSame && chart !== undefined) return;
  draw();
  writeTable();
}

function attach() {
  const place = document.getElementById("over-time");
  if (place === null || place === shownIn || place.dataset.attached) return;
  place.dataset.attached = "";
  place.addEventListener("toggle", () => { if (place.open) load().then(draw); }, { once: false });
  new ResizeObserver(() => {
    if (place === shownIn && chart !== undefined) chart.setSize({ width: place.querySelector(".chart").clientWidth, height: HEIGHT });
  }).observe(place);
  load();
}

attach();
setInterval(load, EVERY_MS);
document.addEventListener("visibilitychange", load);
// A new filter replaces the chart.
document.body.addEventListener("htmx:after:swap", attach);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
