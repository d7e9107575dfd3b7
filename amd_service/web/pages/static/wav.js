// Writes WAV files: 16-bit PCM.

const HEADER_BYTES = 44;
const FULL_SCALE = 0x7fff;
// Browsers decode a file at the rate of the context.
const DECODED_HZ = 48000;

// Return a WAV file as an ArrayBuffer. `channels`: one or two Float32Arrays of equal length, with samples in [-1, 1].
export function encodeWav(channels, rateHz) {
  const frameBytes = 2 * channels.length;
  const dataBytes = frameBytes * channels[0].length;
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + dataBytes));
  writeText(view, 0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + dataBytes, true);
  writeText(view, 8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, channels.length, true);
  view.setUint32(24, rateHz, true);
  view.setUint32(28, rateHz * frameBytes, true);
  view.setUint16(32, frameBytes, true);
  view.setUint16(34, 16, true); // bits per sample
  writeText(view, 36, "data");
  view.setUint32(40, dataBytes, true);
  channels.forEach((samples, channel) => {
    samples.forEach((sample, frame) => {
      const clipped = Math.max(-1, Math.min(1, sample));
      view.setInt16(HEADER_BYTES + frame * frameBytes + 2 * channel, Math.round(clipped * FULL_SCALE), true);
    });
  });
  return view.buffer;
}

// Convert the first seconds of a file that the browser can decode, e.g. M4A or WebM. Rejects if it cannot.
export async function convertToWav(blob, maxSeconds) {
  const context = new OfflineAudioContext(1, 1, DECODED_HZ);
  const audio = await context.decodeAudioData(await blob.arrayBuffer());
  const channels = Array.from({ length: Math.min(2, audio.numberOfChannels) }, (_, channel) =>
    audio.getChannelData(channel).subarray(0, maxSeconds * audio.sampleRate),
  );
  return new Blob([encodeWav(channels, audio.sampleRate)], { type: "audio/wav" });
}

function writeText(view, offset, text) {
  for (let index = 0; index < text.length; index++) view.setUint8(offset + index, text.charCodeAt(index));
}
