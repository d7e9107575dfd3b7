/**
 * The client of amd_service.
 *
 * AMD_SERVICE_URL  base URL of the service; default http://127.0.0.1:8080
 * AMD_API_KEY      one of its AMD_API_KEYS; a service without keys answers its own machine only
 * AMD_TIMEOUT_MS   timeout of a request; default 20000
 */

export type Status = "HUMAN" | "VOICEMAIL" | "UNDECIDED";

const STATUSES: readonly string[] = ["HUMAN", "VOICEMAIL", "UNDECIDED"] satisfies Status[];

// Statuses that our own client can act upon. Any other error between us and the service becomes a 502.
const PASSED_ON: readonly number[] = [404, 413, 415, 422, 429, 503];

/** A response without a verdict. It never becomes a status: an error is not UNDECIDED. */
export class ServiceProblem extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly retryAfter: string | null = null,
  ) {
    super(detail);
  }
}

/** The service's JSON response. Throws ServiceProblem for every other outcome. */
export async function askService(path: string, init: RequestInit = {}): Promise<unknown> {
  const timeout = AbortSignal.timeout(Number(process.env.AMD_TIMEOUT_MS ?? 20_000));
  const headers = new Headers(init.headers);
  if (process.env.AMD_API_KEY) headers.set("authorization", `Bearer ${process.env.AMD_API_KEY}`);
  try {
    const answer = await fetch(new URL(path, process.env.AMD_SERVICE_URL ?? "http://127.0.0.1:8080"), {
      ...init,
      headers,
      cache: "no-store",
      // If our client disconnects, cancel the request; the service then stops working on it.
      signal: init.signal ? AbortSignal.any([init.signal, timeout]) : timeout,
    });
    if (!answer.ok) throw await problemOf(answer);
    return await answer.json();
  } catch (error) {
    if (error instanceof ServiceProblem) throw error;
    if (timeout.aborted) throw new ServiceProblem(504, "the analysis took too long; please try again");
    console.error("amd_service cannot be reached", error);
    throw new ServiceProblem(502, "the analysis service cannot be reached");
  }
}

async function problemOf(answer: Response): Promise<ServiceProblem> {
  const body = (await answer.json().catch(() => ({}))) as { detail?: string };
  const detail = body.detail ?? answer.statusText;
  if (PASSED_ON.includes(answer.status)) {
    return new ServiceProblem(answer.status, detail, answer.headers.get("retry-after"));
  }
  console.error(`amd_service answered ${answer.status}: ${detail}`);
  return new ServiceProblem(502, "the analysis service did not accept the request");
}

/** `human` → HUMAN, `voicemail` → VOICEMAIL, `undecided` → UNDECIDED. Throws for anything else: never guess a status. */
export function toStatus(label: unknown): Status {
  const status = String(label).toUpperCase();
  if (!STATUSES.includes(status)) throw new ServiceProblem(502, `the analysis service answered with the label ${label}`);
  return status as Status;
}

/** An error as problem details (RFC 9457), with the Retry-After of the service. */
export function refuse(error: unknown): Response {
  if (!(error instanceof ServiceProblem)) throw error;
  return Response.json(
    { status: error.status, detail: error.message },
    {
      status: error.status,
      headers: {
        "content-type": "application/problem+json",
        ...(error.retryAfter === null ? {} : { "retry-after": error.retryAfter }),
      },
    },
  );
}
