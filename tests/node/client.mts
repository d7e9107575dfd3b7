/** Lists the calls that are labelled voicemail and reviews the newest one, with a client from the OpenAPI document. */
import createClient from "openapi-fetch";

import type { paths } from "./schema.mjs";

const client = createClient<paths>({
  baseUrl: process.env.SERVICE_URL ?? "",
  headers: { authorization: `Bearer ${process.env.SERVICE_KEY}` },
});

const listed = await client.GET("/api/calls", { params: { query: { label: ["voicemail"], limit: 1 } } });
if (listed.error) throw new Error(listed.error.detail);
const call = listed.data.calls[0];
if (call === undefined) throw new Error("no call is labelled voicemail");

const reviewed = await client.POST("/api/calls/{sid}/reviews", {
  params: { path: { sid: call.call_sid }, header: { "Idempotency-Key": "review-1" } },
  body: { answer: "human" },
});
if (reviewed.error) throw new Error(reviewed.error.detail);
console.log(JSON.stringify({ to: call.to_number, next: listed.data.next, review: reviewed.data.id }));
