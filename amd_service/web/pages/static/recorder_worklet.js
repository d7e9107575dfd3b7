// Sends the samples of the microphone to the page. MediaRecorder would compress them, and not in WAV.
class RecorderProcessor extends AudioWorkletProcessor {
  process([[samples]]) {
    if (samples) this.port.postMessage(samples.slice());
    return true;
  }
}

registerProcessor("recorder", RecorderProcessor);
