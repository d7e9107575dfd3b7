// The rule of the service about scores (detection/decision.py and Detector in detection/detector.py). A test compares
// both. The rules about beeps and rhythm are not here: a page knows neither before the verdict.

// Decide from the scored windows of a recording, in order: the first window, then the longer window if there is one.
// `minimum`: the thresholds {human, voicemail}. `longWindow`: the rule AMD_LONG_WINDOW. Returns null without a window: the
// model did not run. `follows`: the reason of the decision about the window before, null for the first window.
export function decide(scored, minimum, longWindow) {
  let decision = null;
  for (const [index, { scores }] of scored.entries()) {
    const top = scores.human > scores.voicemail ? "human" : "voicemail";
    const isConfident = scores[top] >= minimum[top];
    const isContradicted = isConfident && decision?.reason === "confident" && decision.top !== top;
    decision = {
      label: isConfident && !isContradicted ? top : "undecided",
      reason: isContradicted ? "disagreement" : isConfident ? "confident" : "low_confidence",
      confidence: scores[top],
      top,
      index,
      follows: decision?.reason ?? null,
    };
    if (isConfident && longWindow !== "always") break;
  }
  return decision;
}

// The same for a verdict with `runs` model runs, whose last run decided. A rule about rhythm can make the service score the
// longer window although the first window is confident.
export function decideByLastRun(scored, runs, minimum, longWindow) {
  const first = longWindow === "always" ? 0 : Math.max(0, runs - 1);
  const decision = decide(scored.slice(first, runs), minimum, longWindow);
  return decision && { ...decision, index: runs - 1 };
}

// A probability as all pages show it, such as `93.1 %` (percent in explanations.py, a test compares both). It is rounded
// down, so that a score below a threshold never looks equal to it.
export function percent(value) {
  return `${(Math.floor(Number((value * 1000).toFixed(6))) / 10).toFixed(1)} %`;
}
