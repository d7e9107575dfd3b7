/**
 * The client of amd_service.
 *
 * AMD_SERVICE_URL  base URL of the service; default http://127.0.0.1:8080
 * AMD_API_KEY      one of the AMD_API_KEYS of the service; without keys the service accepts only local requests
 * AMD_TIMEOUT_MS   timeout of a request; default 20000
 */

export type Status = "HUMAN" | "VOICEMAIL" | "UNDECIDED";

const STATUSES: readonly string[] = ["HUMAN", "VOICEMAIL", "UNDECIDED"] satisfies Status[];

// Statuses that are useful to the client of this backend. Every other error of the service becomes a 502.
const PASSED_ON: readonly number[] = [404, 413, 415, 422, 429, 503];

/** A response without a verdict. It must never become a status, because an error is not UNDECIDED. */
export class ServiceProblem extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly retryAfter: string | null = null,
  ) {
    super(detail);
  }
}

/** Sends a request and returns the JSON response. Throws ServiceProblem after any error. */
export async function askService(path: string, init: RequestInit = {}): Promise<unknown> {
  const timeout = AbortSignal.timeout(Number(process.env.AMD_TIMEOUT_MS ?? 20_000));
  const headers = new Headers(init.headers);
  if (process.env.AMD_API_KEY) headers.set("authorization", `Bearer ${process.env.AMD_API_KEY}`);
  try {
    const response = await fetch(new URL(path, process.env.AMD_SERVICE_URL ?? "http://127.0.0.1:8080"), {
      ...init,
      headers,
      cache: "no-store",
      // If the client of this backend disconnects, cancel the request. The service then stops its work.
      signal: init.signal ? AbortSignal.any([init.signal, timeout]) : timeout,
    });
    if (!response.ok) throw await problemOf(response);
    return await response.json();
  } catch (error) {
    if (error instanceof ServiceProblem) throw error;
    if (timeout.aborted) throw new ServiceProblem(504, "the analysis took too long; try again");
    console.error("amd_service cannot be reached", error);
    throw new ServiceProblem(502, "the analysis service cannot be reached");
  }
}

async function problemOf(response: Response): Promise<ServiceProblem> {
  const body = (await response.json().catch(() => ({}))) as { detail?: string };
  const detail = body.detail ?? response.statusText;
  if (PASSED_ON.includes(response.status)) {
    return new ServiceProblem(response.status, detail, response.headers.get("retry-after"));
  }
  console.error(`amd_service responded with ${response.status}: ${detail}`);
  return new ServiceProblem(502, "the analysis service did not accept the request");
}

/** `human` → HUMAN, `voicemail` → VOICEMAIL, `undecided` → UNDECIDED. Throws for any other label. */
export function toStatus(label: unknown): Status {
  const status = String(label).toUpperCase();
  if (!STATUSES.includes(status)) throw new ServiceProblem(502, `the analysis service returned the unknown label ${label}`);
  return status as Status;
}

/** Converts an error to problem details (RFC 9457), with the Retry-After of the service. */
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
