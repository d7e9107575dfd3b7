/** GET /api/calls/{sid}: the result of a call that Twilio reported. */

import { askService, refuse, ServiceProblem, type Status, toStatus } from "../../../../lib/amd";

interface Call {
  call_sid: string;
  analysis_state: "waiting" | "queued" | "running" | "judged" | "failed" | "not_applicable";
  label: string | null;
  confidence: number | null;
  reason: string | null;
}

interface CallRecord {
  callSid: string;
  /** True if the verdict is not available yet. Request the call again later. */
  pending: boolean;
  /** Null while pending, after a failed analysis (see `reason`), and for an unanswered call. */
  status: Status | null;
  confidence: number | null;
  reason: string | null;
}

const PENDING: readonly string[] = ["waiting", "queued", "running"] satisfies Call["analysis_state"][];

export async function GET(request: Request, { params }: { params: Promise<{ sid: string }> }): Promise<Response> {
  try {
    const { sid } = await params;
    // Check the SID, because it becomes part of a URL.
    if (!/^CA[0-9a-fA-F]{32}$/.test(sid)) throw new ServiceProblem(422, "a call SID is CA and 32 hexadecimal digits");
    const call = (await askService(`/api/calls/${sid}`, { signal: request.signal })) as Call;
    return Response.json(toRecord(call));
  } catch (error) {
    return refuse(error);
  }
}

function toRecord(call: Call): CallRecord {
  return {
    callSid: call.call_sid,
    pending: PENDING.includes(call.analysis_state),
    status: call.label === null ? null : toStatus(call.label),
    confidence: call.confidence,
    reason: call.reason,
  };
}
