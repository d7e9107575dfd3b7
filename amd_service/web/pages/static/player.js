// <audio-player>: the waveform of a recording, with the window that the model heard, the onset of speech and the beep.
//
// Attributes, all optional; times are in seconds:
//   sources       JSON list of {"name", "url"}: one for each channel that can be heard; the first one is loaded
//   window-start, window-end, onset, beep-start, beep-end   what to mark in the waveform
//   name          what is played, for screen readers
//   keys          the whole page hears the keys: space plays, ← and → seek. Without it, only the focused waveform does.
//   autoplay      play as soon as the recording is loaded
// Methods: load(url or Blob), mark({windowStart, windowEnd, onset, beepStart, beepEnd}), play(), pause(), toggle(), seekBy(seconds).
// Events that bubble: player-ready (detail.duration), player-ended, player-failed (detail.message).
import WaveSurfer from "./vendor/wavesurfer.js/wavesurfer.esm.js";
import RegionsPlugin from "./vendor/wavesurfer.js/regions.esm.js";

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2];
const STEP_S = 1;
const ATTEMPTS = 10;
const HEIGHT = 96;
// Louder recordings fill the height of the waveform. Quieter ones, such as the noise of a silent line, look quiet.
const LEAST_PEAK = 0.05;
const DARK = matchMedia("(prefers-color-scheme: dark)");
const FIELDS = "input, textarea, select, [contenteditable]";

class AudioPlayer extends HTMLElement {
  #marks = {};
  #listening;
  #loads = 0;

  connectedCallback() {
    if (this.#listening) return;
    this.#listening = new AbortController();
    this.#build();
    this.#draw();
    this.#listen();
    this.#marks = {
      windowStart: this.#seconds("window-start"),
      windowEnd: this.#seconds("window-end"),
      onset: this.#seconds("onset"),
      beepStart: this.#seconds("beep-start"),
      beepEnd: this.#seconds("beep-end"),
    };
    this.#describeMarks();
    if (this.sources.length) this.load(this.sources[0].url);
  }

  disconnectedCallback() {
    // htmx moves an element by removing and inserting it: only an element that stays away is torn down.
    queueMicrotask(() => {
      if (this.isConnected || !this.#listening) return;
      this.#listening.abort();
      this.#listening = undefined;
      this.surfer.destroy();
    });
  }

  get sources() {
    return JSON.parse(this.getAttribute("sources") ?? "[]");
  }

  // Load a recording from a URL or a Blob. Of two loads, the later one counts.
  async load(source) {
    const load = ++this.#loads;
    this.#fail(null);
    this.#setBusy(true);
    try {
      const blob = source instanceof Blob ? source : await download(source);
      if (load !== this.#loads) return;
      await this.surfer.loadBlob(blob);
      if (load === this.#loads) this.#ready();
    } catch (error) {
      if (load === this.#loads && error.name !== "AbortError") this.#fail(explain(error));
    }
  }

  // Mark the window, the onset and the beep, in seconds from the beginning of the recording; null removes a mark.
  mark(marks) {
    this.#marks = { ...this.#marks, ...marks };
    this.#describeMarks();
    if (this.surfer.getDuration() > 0) this.#drawMarks();
  }

  async play() {
    try {
      await this.surfer.play();
    } catch (error) {
      // Browsers refuse to play before the first click or key on a page.
      if (error.name !== "NotAllowedError" && error.name !== "AbortError") this.#fail(explain(error));
    }
  }

  pause() {
    this.surfer.pause();
  }

  toggle() {
    if (this.button.disabled) return;
    if (this.surfer.isPlaying()) this.pause();
    else this.play();
  }

  seekBy(seconds) {
    const duration = this.surfer.getDuration();
    this.surfer.setTime(Math.min(duration, Math.max(0, this.surfer.getCurrentTime() + seconds)));
    this.#showTime();
  }

  #seconds(attribute) {
    const value = this.getAttribute(attribute);
    return value ? Number(value) : null;
  }

  #build() {
    const name = this.getAttribute("name") ?? "Recording";
    this.waveform = make("div", {
      className: "waveform", role: "slider", tabIndex: 0, ariaLabel: `${name}: position`,
      ariaValueMin: "0", ariaValueMax: "0", ariaValueNow: "0",
    });
    this.audio = make("audio", { preload: "auto" });
    this.button = make("button", { type: "button", className: "play", textContent: "Play", disabled: true });
    this.time = make("span", { className: "time mono", textContent: "–" });
    this.speed = makeSelect("speed", "Speed", SPEEDS.map((speed) => [speed, `${speed}×`, speed === 1]));
    this.channel = makeSelect("channel", "Channel", this.sources.map(({ name, url }, index) => [url, name, index === 0]));
    this.channel.hidden = this.sources.length < 2;
    this.legend = make("p", { className: "legend muted" });
    this.message = make("p", { className: "note error", role: "alert", hidden: true });
    const controls = make("div", { className: "row" });
    controls.append(this.button, this.time, this.speed, this.channel);
    this.role = "group";
    this.ariaLabel = name;
    this.replaceChildren(this.waveform, this.audio, controls, this.legend, this.message);
  }

  #draw() {
    this.regions = RegionsPlugin.create();
    this.surfer = WaveSurfer.create({
      container: this.waveform,
      media: this.audio,
      height: HEIGHT,
      normalize: true,
      dragToSeek: true,
      cursorWidth: 2,
      // The policy of the page allows the <style> element of the waveform only with this nonce.
      cspNonce: document.querySelector("[nonce]")?.nonce,
      plugins: [this.regions],
      ...colours(),
    });
  }

  #listen() {
    const { signal } = this.#listening;
    const on = (target, type, handle) => target.addEventListener(type, handle, { signal });
    on(this.button, "click", () => this.toggle());
    on(this.speed.control, "change", () => this.surfer.setPlaybackRate(Number(this.speed.control.value)));
    on(this.channel.control, "change", () => this.load(this.channel.control.value));
    on(this.hasAttribute("keys") ? document : this.waveform, "keydown", (event) => this.#press(event));
    on(DARK, "change", () => this.surfer.setOptions(colours()));
    for (const type of ["play", "pause", "ended"]) on(this.audio, type, () => this.#showState());
    for (const type of ["timeupdate", "seeking"]) on(this.audio, type, () => this.#showTime());
    on(this.audio, "ended", () => this.#tell("player-ended"));
  }

  #press(event) {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest(FIELDS)) return;
    if (event.key === " " && event.target.closest("button, a, summary, label")) return;
    const action = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.seekBy(-STEP_S),
      ArrowRight: () => this.seekBy(STEP_S),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  #ready() {
    this.#setBusy(false);
    // A new source of the media element resets its speed.
    this.surfer.setPlaybackRate(Number(this.speed.control.value));
    const peaks = this.surfer.exportPeaks({ channels: 1, maxLength: 2000 })[0];
    this.surfer.setOptions({ maxPeak: Math.max(LEAST_PEAK, ...peaks.map(Math.abs)) });
    this.#drawMarks();
    this.#showTime();
    this.#tell("player-ready", { duration: this.surfer.getDuration() });
    if (this.hasAttribute("autoplay")) this.play();
  }

  #drawMarks() {
    const { windowStart, windowEnd, onset, beepStart, beepEnd } = this.#marks;
    const fixed = { drag: false, resize: false };
    this.regions.clearRegions();
    if (windowStart !== null && windowEnd !== null) {
      this.regions.addRegion({ id: "window", start: windowStart, end: windowEnd, color: "var(--window)", ...fixed });
    }
    if (beepStart !== null && beepEnd !== null) {
      this.regions.addRegion({ id: "beep", start: beepStart, end: beepEnd, color: "var(--beep)", ...fixed });
    }
    if (onset !== null) this.regions.addRegion({ id: "onset", start: onset, color: "var(--onset)", ...fixed });
  }

  #describeMarks() {
    const { windowStart, windowEnd, onset, beepStart, beepEnd } = this.#marks;
    const parts = [];
    if (onset !== null) parts.push(["onset", `Speech begins at ${onset.toFixed(1)} s`]);
    if (windowStart !== null && windowEnd !== null) {
      parts.push(["window", `The model heard ${windowStart.toFixed(1)} to ${windowEnd.toFixed(1)} s`]);
    }
    if (beepStart !== null && beepEnd !== null) parts.push(["beep", `Beep at ${beepStart.toFixed(1)} s`]);
    this.legend.replaceChildren(
      ...parts.map(([mark, text]) => {
        const entry = make("span", { className: "mark" });
        entry.append(make("span", { className: `swatch ${mark}`, ariaHidden: "true" }), text);
        return entry;
      }),
    );
  }

  #setBusy(isBusy) {
    this.ariaBusy = String(isBusy);
    this.button.disabled = isBusy;
    if (isBusy) this.time.textContent = "Loading…";
  }

  #showState() {
    const isPlaying = !this.audio.paused && !this.audio.ended;
    this.button.textContent = isPlaying ? "Pause" : "Play";
  }

  #showTime() {
    const [now, duration] = [this.surfer.getCurrentTime(), this.surfer.getDuration()];
    this.time.textContent = `${clock(now)} / ${clock(duration)}`;
    this.waveform.ariaValueMax = duration.toFixed(1);
    this.waveform.ariaValueNow = now.toFixed(1);
    this.waveform.ariaValueText = `${now.toFixed(1)} of ${duration.toFixed(1)} seconds`;
  }

  // Show why nothing can be heard; null hides the message.
  #fail(message) {
    this.message.hidden = message === null;
    this.message.textContent = message ?? "";
    this.classList.toggle("failed", message !== null);
    if (message === null) return;
    this.#setBusy(false);
    this.button.disabled = true;
    this.time.textContent = "–";
    this.#tell("player-failed", { message });
  }

  #tell(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { bubbles: true, detail }));
  }
}

// Fetch a recording. A refusal is a problem+json body whose detail names the cure. 429: others are loading recordings.
async function download(url) {
  let response;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    response = await fetch(url, { headers: { accept: "audio/wav, application/problem+json" } });
    if (response.ok) return response.blob();
    if (response.status !== 429) break;
    const waitS = Number(response.headers.get("retry-after")) || 1;
    await new Promise((resolve) => setTimeout(resolve, waitS * 1000));
  }
  const problem = await response.json().catch(() => ({}));
  throw new Error(problem.detail ?? `the service responded with ${response.status}: load the page again`);
}

function explain(error) {
  if (error instanceof TypeError) return "The service cannot be reached. Check the network, and load the page again.";
  if (error.name === "EncodingError") return "The browser cannot decode this audio. Use a WAV, MP3, FLAC or Ogg file.";
  return error.message.charAt(0).toUpperCase() + error.message.slice(1);
}

// Canvas cannot use custom properties, so their values are read again when the theme changes.
function colours() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim();
  return { waveColor: value("--wave"), progressColor: value("--accent"), cursorColor: value("--text") };
}

function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}

function make(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

function makeSelect(className, name, options) {
  const label = make("label", { className, textContent: name });
  const select = make("select", {});
  select.append(...options.map(([value, text, isChosen]) => new Option(text, value, isChosen, isChosen)));
  label.append(select);
  return label;
}

customElements.define("audio-player", AudioPlayer);
