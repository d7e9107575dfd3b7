/**
 * POST /api/amd-events: receives the results of calls. Set AMD_DELIVERY_URL of the service to the URL of this route.
 *
 * AMD_DELIVERY_SECRET  the secret of the service, `whsec_…`
 */

import { Webhook } from "standardwebhooks";

interface CallEvent {
  type: "call.judged" | "call.failed" | "call.not_applicable";
  timestamp: string;
  data: { call_sid: string; sequence: number; label: string | null; reason: string | null };
}

export async function POST(request: Request): Promise<Response> {
  const secret = process.env.AMD_DELIVERY_SECRET;
  if (!secret) return Response.json({ detail: "AMD_DELIVERY_SECRET is not set" }, { status: 500 });
  // The signature covers the bytes of the body, so verify the text before it is parsed.
  const body = await request.text();
  let event: CallEvent;
  try {
    event = new Webhook(secret).verify(body, Object.fromEntries(request.headers)) as CallEvent;
  } catch {
    return Response.json({ detail: "invalid signature" }, { status: 401 });
  }
  await store(request.headers.get("webhook-id") ?? "", event);
  return Response.json({ received: event.data.call_sid });
}

/**
 * Replace this by an insert into your database. An event may arrive twice, so ignore a known `webhook-id`. A failed
 * insert must throw: the response is then a 500, and the service sends the event again.
 */
async function store(id: string, event: CallEvent): Promise<void> {
  console.error(`${id} ${event.type} ${event.data.call_sid} #${event.data.sequence}: ${event.data.label ?? event.data.reason}`);
}
