/** POST /api/amd: reads a recording from the form field `audio` and returns the record to store. */

import { askService, refuse, ServiceProblem, type Status, toStatus } from "../../../lib/amd";

interface Verdict {
  label: string;
  confidence: number | null;
  processing_time_ms: number;
  reason: string;
}

interface CallRecord {
  status: Status;
  /** Probability of the likelier label, also for UNDECIDED. Null if the recording has no speech. */
  confidence: number | null;
  processingTimeMs: number;
  reason: string;
}

export async function POST(request: Request): Promise<Response> {
  try {
    const body = new FormData();
    body.set("audio", await audioOf(request));
    const verdict = (await askService("/predict", { method: "POST", body, signal: request.signal })) as Verdict;
    return Response.json(toRecord(verdict));
  } catch (error) {
    return refuse(error);
  }
}

async function audioOf(request: Request): Promise<File> {
  const form = await request.formData().catch(() => null);
  const audio = form?.get("audio");
  if (!(audio instanceof File)) throw new ServiceProblem(422, "send the recording as the form field `audio`");
  return audio;
}

function toRecord(verdict: Verdict): CallRecord {
  return {
    status: toStatus(verdict.label),
    confidence: verdict.confidence,
    processingTimeMs: verdict.processing_time_ms,
    reason: verdict.reason,
  };
}
