// Draws the score of each window against the thresholds. Above the upper line a call is human, below the lower line it is
// voicemail: both scores of a window sum to 1, so one line shows both.
import uPlot from "./vendor/uplot/uPlot.esm.js";

const HEIGHT = 220;

export class ScoreChart {
  #minimum = { human: 1, voicemail: 1 };
  #endS = 1;

  constructor(element) {
    this.element = element;
    this.chart = new uPlot(this.#options(), [[], []], element);
    new ResizeObserver(() => this.chart.setSize({ width: element.clientWidth, height: HEIGHT })).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.chart.redraw(false, true));
  }

  // `rows`: windows with their end and scores, in order of their end. `durationS`: length of the recording.
  show(rows, minimum, durationS) {
    this.#minimum = minimum;
    const ends = rows.map((row) => row.endS);
    this.#endS = Math.max(1, durationS, ...ends);
    this.chart.setData([ends, rows.map((row) => row.scores.human)]);
  }

  #options() {
    const axis = { stroke: () => colour("--muted"), grid: { stroke: () => colour("--line"), width: 1 } };
    return {
      width: this.element.clientWidth || 320,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false, range: () => [0, this.#endS] }, y: { range: () => [0, 1] } },
      axes: [
        { ...axis, values: (_, splits) => splits.map((split) => `${split} s`) },
        { ...axis, values: (_, splits) => splits.map((split) => `${Math.round(split * 100)} %`) },
      ],
      series: [{}, { stroke: () => colour("--text"), width: 2, points: { show: true, size: 9, fill: () => colour("--text") } }],
      hooks: { drawClear: [(chart) => this.#drawBands(chart)], drawAxes: [(chart) => this.#drawNames(chart)] },
    };
  }

  // The bands of the labels in a column: [name, top, height], in pixels of the canvas.
  #bands({ bbox }) {
    const y = (score) => bbox.top + bbox.height * (1 - score);
    const { human, voicemail } = this.#minimum;
    const ranges = [["human", human, 1], ["undecided", 1 - voicemail, human], ["voicemail", 0, 1 - voicemail]];
    return ranges.map(([label, from, to]) => [label, y(to), y(from) - y(to)]);
  }

  #drawBands(chart) {
    const { ctx, bbox } = chart;
    for (const [label, top, height] of this.#bands(chart)) {
      ctx.fillStyle = colour(`--${label}-bg`);
      ctx.fillRect(bbox.left, top, bbox.width, height);
    }
  }

  // Above the grid, so that no line crosses a name. A band that is too thin gets no name.
  #drawNames(chart) {
    const { ctx, bbox } = chart;
    const size = 12 * devicePixelRatio;
    ctx.save();
    Object.assign(ctx, { font: `${size}px system-ui, sans-serif`, textAlign: "left", textBaseline: "middle" });
    for (const [label, top, height] of this.#bands(chart).filter((band) => band[2] >= size)) {
      ctx.fillStyle = colour(`--${label}`);
      ctx.fillText(label, bbox.left + size / 2, top + height / 2);
    }
    ctx.restore();
  }
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
