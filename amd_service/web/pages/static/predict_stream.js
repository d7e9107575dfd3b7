// Client of POST /predict-stream.

const ATTEMPTS_WHEN_BUSY = 10;
const POLL_MS = 1000;

// A refusal of the service. `detail` names the cure. `status` is 0 if the service could not be reached.
export class Refusal extends Error {
  constructor({ status, detail }) {
    super(detail);
    Object.assign(this, { status, detail });
  }
}

// Yield the lines of a recording as they arrive. Waits while the model is loading or busy, and says so by `onWait(text)`.
// `onSend()` is called before each attempt.
export async function* judge(blob, { root, csrfToken, channel, signal, onSend, onWait }) {
  const query = new URLSearchParams({ longer_window: "true", ...(channel && { channel }) });
  for (let attempt = 1; ; attempt++) {
    onSend();
    const response = await send(`${root}/predict-stream?${query}`, {
      method: "POST",
      body: blob,
      signal,
      // The service recognises the format by the first bytes. Only audio types say more than these.
      headers: {
        "content-type": blob.type.startsWith("audio/") ? blob.type : "application/octet-stream",
        "x-csrf-token": csrfToken,
      },
    });
    if (response.ok) {
      yield* lines(response);
      return;
    }
    const refusal = await refusalOf(response);
    if (refusal.status === 503) await waitUntilReady(root, signal, onWait);
    else if (refusal.status !== 429 || attempt === ATTEMPTS_WHEN_BUSY) throw refusal;
    else {
      onWait("The service is busy. The recording is sent again in a moment.");
      await pause(1000 * Number(response.headers.get("retry-after") ?? 1), signal);
    }
  }
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    const complete = (text + (value ?? "")).split("\n");
    text = complete.pop();
    for (const line of complete.map((each) => JSON.parse(each))) {
      if ("status" in line) throw new Refusal(line);
      yield line;
    }
    if (done) return;
  }
}

// Wait for the model. Throws a refusal if it cannot become ready, or if the service cannot say.
async function waitUntilReady(root, signal, onWait) {
  for (;;) {
    const response = await send(`${root}/model-info`, { signal });
    if (!response.ok) throw await refusalOf(response);
    const { ready, phase, reason } = await response.json();
    if (ready) return;
    if (!["loading", "warming", "proving"].includes(phase)) throw new Refusal({ status: 503, detail: reason });
    onWait(`The model is not ready yet: ${reason}. The recording is sent as soon as the model is ready.`);
    await pause(POLL_MS, signal);
  }
}

async function send(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ status: 0, detail: "the service cannot be reached: check that it runs, then try again" });
  }
}

async function refusalOf(response) {
  const problem = await response.json().catch(() => ({}));
  return new Refusal({
    detail: `the service responded with ${response.status}: load the page again`,
    ...problem,
    status: response.status,
  });
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
