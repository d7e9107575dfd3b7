// The page /try: sends a recording to /predict-stream, and shows how the service decides.
import "./player.js";
import { decide, decideByLastRun, percent } from "./decision.js";
import { Refusal, judge } from "./predict_stream.js";
import { explainMicrophone, record, recordingObstacle } from "./recorder.js";
import { ScoreChart } from "./score_chart.js";
import { convertToWav } from "./wav.js";

const LABELS = ["human", "voicemail"];
const REASONS = {
  beep: "A beep follows speech, as at the end of a greeting (AMD_BEEP_EVIDENCE).",
  disagreement: "The two windows contradict each other (AMD_LONG_WINDOW), or the rhythm contradicts the model (AMD_RHYTHM_EVIDENCE).",
  no_speech: "The service found no speech, so the model did not run. Such a call stays undecided. It never counts as human.",
  too_short: "The recording is shorter than 1 s, which is too short to judge. Use at least 2 s.",
};

const element = (id) => document.getElementById(id);
const { root, csrfToken, maxBytes, maxSeconds, windowMs, longWindow, demoModel } = element("try").dataset;
const player = element("player");

// The recording on the page, its lines from the service, and the request in progress.
let recording = null;
let lines = [];
let request = new AbortController();
let stopRecording = null;
let durationS = 0;
let sentAt = 0;
let chart = null;

async function open(blob, name) {
  recording = { blob, name };
  element("channel").value = "";
  element("channels").hidden = true;
  if (blob.size === 0) refuse("The file is empty. Choose another file.");
  else if (blob.size > Number(maxBytes)) {
    const sizes = `The file has ${megabytes(blob.size)}, and the service accepts ${megabytes(maxBytes)}.`;
    refuse(`${sizes} Cut the recording, or increase AMD_MAX_UPLOAD_BYTES of the service.`);
  } else {
    hear(blob);
    await run();
  }
}

function hear(blob) {
  durationS = 0;
  player.mark({ windowStart: null, windowEnd: null, onset: null, beepStart: null, beepEnd: null });
  player.load(blob);
}

// Send the recording, and show the lines as they arrive. A second run ends the first one.
async function run() {
  request.abort();
  const { signal } = (request = new AbortController());
  begin();
  try {
    await receive(recording.blob, signal);
    if (!signal.aborted) showFacts(performance.now() - sentAt);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Refusal)) throw error;
    // Without a length, the browser cannot play the file either.
    if (error.status === 422 && durationS === 0) refuse(sentence(error.detail));
    else fail(sentence(error.detail));
  }
}

async function receive(blob, signal) {
  const onSend = () => (sentAt = performance.now());
  const options = { root, csrfToken, channel: element("channel").value, signal, onSend, onWait: showWait };
  try {
    for await (const line of judge(blob, options)) {
      lines.push(line);
      show();
    }
  } catch (error) {
    const converted = error.status === 422 && !recording.isConverted && (await convert(blob));
    if (!converted || signal.aborted) throw error;
    Object.assign(recording, { blob: converted, isConverted: true });
    hear(converted);
    await receive(converted, signal);
  }
}

// The browser reads formats that the service does not, e.g. M4A. Returns null for a file that neither can read.
async function convert(blob) {
  return convertToWav(blob, Number(maxSeconds)).catch(() => null);
}

function begin() {
  lines = [];
  element("problem").hidden = true;
  element("result").hidden = false;
  element("details").hidden = true;
  element("name").textContent = recording.name;
  element("facts").textContent = "";
  showWait("Listening…");
}

function fail(text) {
  request.abort();
  element("problem").textContent = text;
  element("problem").hidden = false;
  element("verdict").replaceChildren();
  element("details").hidden = true;
}

// Say that a file is no recording, and hide what was shown about the recording before it.
function refuse(text) {
  fail(text);
  player.pause();
  element("result").hidden = true;
}

function showWait(text) {
  element("verdict").replaceChildren(text);
}

function show() {
  const last = lines.at(-1);
  element("channels").hidden = !(last.channels_mixed || element("channel").value);
  if (last.provisional) {
    showVerdict("verdict", last.label, `so far, after ${last.speech_ms / 1000} s of speech: ${describe(last.scores)}.`);
  } else {
    const decision = decideByLastRun(last.scored, last.runs, configured(), longWindow);
    showVerdict("verdict", last.label, REASONS[last.reason] ?? explain(decision, last.scored, configured()));
  }
  player.mark({
    onset: last.onset_ms === null ? null : last.onset_ms / 1000,
    windowStart: last.window && last.window.start_ms / 1000,
    windowEnd: last.window && (last.window.start_ms + last.window.length_ms) / 1000,
  });
  element("details").hidden = last.window === null;
  showThresholds();
}

// One row for each scored part of the recording. The final verdict's windows replace equal provisional ones. A window
// after the one that decides at these thresholds is not needed.
function rows(minimum) {
  const found = new Map();
  for (const line of lines) {
    for (const [index, scored] of line.scored.entries()) {
      const when = line.provisional ? `after ${line.speech_ms / 1000} s of speech` : ["first window", "longer window"][index];
      const isNeeded = line.provisional || index <= decide(line.scored, minimum, longWindow).index;
      const endS = (scored.start_ms + scored.length_ms) / 1000;
      found.set(`${scored.start_ms} ${endS}`, { ...scored, endS, when: isNeeded ? when : `${when}, not needed` });
    }
  }
  return [...found.values()].sort((one, other) => one.endS - other.endS);
}

function showScores(found) {
  const body = element("scores");
  body.replaceChildren();
  for (const { start_ms: startMs, endS, when, scores } of found) {
    const row = body.insertRow();
    row.insertCell().textContent = `${seconds(startMs / 1000)} to ${seconds(endS)} s`;
    row.insertCell().textContent = when;
    for (const label of LABELS) Object.assign(row.insertCell(), { className: "number", textContent: percent(scores[label]) });
  }
}

function showThresholds() {
  const minimum = chosen();
  for (const label of LABELS) element(`shown-${label}`).textContent = percent(minimum[label]);
  element("settings").textContent = LABELS.map(
    (label) => `AMD_MIN_CONFIDENCE_${label.toUpperCase()}=${minimum[label]}`,
  ).join("\n");
  element("copied").textContent = "";
  if (element("details").hidden || lines.length === 0) return;
  const found = rows(minimum);
  showScores(found);
  chart ??= new ScoreChart(element("chart"));
  chart.show(found, minimum, durationS);
  const { scored, provisional } = lines.at(-1);
  const decision = provisional ? null : decide(scored, minimum, longWindow);
  if (decision === null) element("decision").replaceChildren();
  else showVerdict("decision", decision.label, explain(decision, scored, minimum));
}

function showVerdict(id, label, text) {
  const chip = Object.assign(document.createElement("span"), { className: `label ${label}`, textContent: label });
  element(id).replaceChildren(chip, ` ${text}`);
}

// Say in a sentence which window decided, or why none did.
function explain({ index, top, confidence, label, reason, follows }, scored, minimum) {
  const window = ["first", "longer"][index];
  if (label !== "undecided") {
    return `The ${window} window scores ${percent(confidence)} for ${top}; ${percent(minimum[top])} is enough.`;
  }
  if (reason === "disagreement") {
    return `The longer window scores ${percent(confidence)} for ${top}, but the first window is sure of the other label.`;
  }
  const missed = `scores ${percent(confidence)} for ${top}, below ${percent(minimum[top])}`;
  const also = follows === "confident" ? "" : "also ";
  return scored.length > 1 ? `The longer window ${also}${missed}.` : `The window ${missed}, and there is no longer window.`;
}

function showFacts(elapsedMs) {
  const { model, processing_time_ms: serviceMs, window } = lines.at(-1);
  const facts = [`Decided in ${Math.round(serviceMs)} ms. Shown here after ${Math.round(elapsedMs)} ms.`];
  if (model) {
    const kind = model.id === demoModel ? ", the small demonstration model: do not trust its verdicts on real calls" : "";
    facts.push(`Model: ${model.id}${kind} (${model.engine}, ${model.precision}).`);
  }
  if (recording.isConverted) facts.push("Your browser converted the file to WAV.");
  if (durationS > Number(maxSeconds)) facts.push(`Only the first ${maxSeconds} s of the recording can change a verdict.`);
  if (window && window.length_ms < Number(windowMs)) facts.push("Little speech was left to judge: a longer recording is more reliable.");
  element("facts").textContent = facts.join(" ");
}

function configured() {
  return Object.fromEntries(LABELS.map((label) => [label, Number(element(`minimum-${label}`).dataset.configured)]));
}

// The thresholds of the sliders. A configured value can lie between two steps of a slider.
function chosen() {
  const value = (slider) => Number("moved" in slider.dataset ? slider.value : slider.dataset.configured);
  return Object.fromEntries(LABELS.map((label) => [label, value(element(`minimum-${label}`))]));
}

function describe(scores) {
  return LABELS.map((label) => `${label} ${percent(scores[label])}`).join(", ");
}

function seconds(value) {
  return value.toFixed(1);
}

function megabytes(bytes) {
  return `${(Number(bytes) / 2 ** 20).toFixed(1)} MB`;
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

async function toggleRecording() {
  if (stopRecording) return stopRecording.abort();
  stopRecording = new AbortController();
  const button = element("record");
  element("problem").hidden = true;
  try {
    const blob = await record({
      maxSeconds: Number(maxSeconds),
      stop: stopRecording.signal,
      onProgress(recordedS, level) {
        element("meter").hidden = false;
        element("level").value = level;
        button.textContent = `Stop (${Math.ceil(Number(maxSeconds) - recordedS)} s left)`;
      },
    });
    await open(blob, "Your recording");
  } catch (error) {
    fail(explainMicrophone(error));
  } finally {
    stopRecording = null;
    element("meter").hidden = true;
    button.textContent = "Record";
  }
}

function openChosen({ target }) {
  if (target.files[0]) open(target.files[0], target.files[0].name);
  target.value = "";
}

async function openSample({ dataset, textContent }) {
  const response = await fetch(`${root}/try/samples/${dataset.sample}`);
  if (response.ok) await open(await response.blob(), textContent);
  else fail(`The sample could not be loaded (${response.status}). Load the page again.`);
}

function listen() {
  const drop = element("drop");
  const file = element("file");
  file.addEventListener("change", openChosen);
  // The file may have been chosen before this script had loaded.
  openChosen({ target: file });
  element("record").addEventListener("click", toggleRecording);
  for (const button of document.querySelectorAll("[data-sample]")) {
    button.addEventListener("click", () => openSample(button));
    button.disabled = false;
  }
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) drop.classList.remove("dragging");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("dragging");
    const [file] = event.dataTransfer.files;
    if (file) open(file, file.name);
  });
  element("channel").addEventListener("change", run);
  element("again").addEventListener("click", run);
  player.addEventListener("player-ready", ({ detail }) => {
    durationS = detail.duration;
    showThresholds();
  });
}

function listenToThresholds() {
  for (const label of LABELS) {
    const slider = element(`minimum-${label}`);
    slider.addEventListener("input", () => {
      slider.dataset.moved = "";
      showThresholds();
    });
  }
  element("reset").addEventListener("click", () => {
    for (const label of LABELS) {
      const slider = element(`minimum-${label}`);
      slider.value = slider.dataset.configured;
      delete slider.dataset.moved;
    }
    showThresholds();
  });
  element("copy").addEventListener("click", async () => {
    const copied = await navigator.clipboard?.writeText(element("settings").textContent).then(
      () => true,
      () => false,
    );
    element("copied").textContent = copied ? "Copied." : "Copying was refused. Select the lines, and copy them.";
  });
}

const obstacle = recordingObstacle();
element("record").disabled = Boolean(obstacle);
if (obstacle) {
  element("obstacle").textContent = obstacle;
  element("obstacle").hidden = false;
}
listenToThresholds();
showThresholds();
listen();
