// Calls a route handler as Next.js does, and prints what it answers. Reads the request as JSON from standard input.
"use strict";
const { readFileSync } = require("node:fs");

async function main() {
  const { route, method, params, file } = JSON.parse(readFileSync(0, "utf8"));
  let body;
  if (file) {
    body = new FormData();
    body.set(file.field, new File([readFileSync(file.path)], "call.wav", { type: file.type }));
  }
  const request = new Request("http://localhost:3000/", { method, body });
  const response = await require(route)[method](request, { params: Promise.resolve(params) });
  const answer = { status: response.status, headers: Object.fromEntries(response.headers), body: await response.json() };
  process.stdout.write(JSON.stringify(answer));
}

main();
