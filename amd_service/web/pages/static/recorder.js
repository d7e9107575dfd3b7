// Records the microphone as a WAV file, at the rate of the audio device.
import { encodeWav } from "./wav.js";

// A browser changes the voice for calls between browsers. The model was trained on voices without these changes.
const MICROPHONE = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };

const CURES = {
  NotAllowedError: "The browser may not use the microphone. Allow it beside the address of this page, then record again.",
  NotFoundError: "No microphone was found. Connect one, or choose a file.",
  NotReadableError: "The microphone cannot be read: another program may use it. Close that program, then record again.",
};

// Return why this page cannot record; null if it can.
export function recordingObstacle() {
  if (!window.isSecureContext) {
    return "Browsers allow recording only with https or on localhost. Open this page through https, or choose a file.";
  }
  return navigator.mediaDevices && window.AudioWorkletNode ? null : "This browser cannot record. Choose a file.";
}

// Return a message with the cure for an error of `record`.
export function explainMicrophone(error) {
  return CURES[error.name] ?? `The microphone cannot be used: ${error.message}. Choose a file instead.`;
}

// Record until `stop` (an AbortSignal) or for `maxSeconds`, and return a Blob. `onProgress(seconds, level)` is called
// with the recorded seconds and the peak of the last samples, from 0 to 1.
export async function record({ maxSeconds, stop, onProgress }) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: MICROPHONE });
  const context = new AudioContext();
  try {
    await context.audioWorklet.addModule(new URL("./recorder_worklet.js", import.meta.url));
    const node = new AudioWorkletNode(context, "recorder");
    // Without a connection to the output, browsers may not process the node. It puts out silence.
    context.createMediaStreamSource(stream).connect(node).connect(context.destination);
    const samples = await collect(node.port, { maxFrames: maxSeconds * context.sampleRate, stop, stream }, (frames, level) =>
      onProgress(frames / context.sampleRate, level),
    );
    return new Blob([encodeWav([samples], context.sampleRate)], { type: "audio/wav" });
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    await context.close();
  }
}

function collect(port, { maxFrames, stop, stream }, onProgress) {
  const chunks = [];
  let frames = 0;
  return new Promise((resolve) => {
    const finish = () => resolve(join(chunks, Math.min(frames, maxFrames)));
    stop.addEventListener("abort", finish);
    // The microphone was unplugged, or the permission was taken back.
    stream.getAudioTracks()[0].addEventListener("ended", finish);
    port.onmessage = ({ data }) => {
      chunks.push(data);
      frames += data.length;
      onProgress(frames, data.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0));
      if (frames >= maxFrames) finish();
    };
    if (stop.aborted) finish();
  });
}

function join(chunks, frames) {
  const samples = new Float32Array(frames);
  let at = 0;
  for (const chunk of chunks) {
    samples.set(chunk.subarray(0, frames - at), at);
    at += Math.min(chunk.length, frames - at);
  }
  return samples;
}
