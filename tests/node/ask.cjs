// Reads a request as JSON from standard input, calls a route handler as Next.js does, and prints its response.
"use strict";
const { readFileSync } = require("node:fs");

async function main() {
  const { route, method, params, file, headers, text } = JSON.parse(readFileSync(0, "utf8"));
  let body = text;
  if (file) {
    body = new FormData();
    body.set(file.field, new File([readFileSync(file.path)], "call.wav", { type: file.type }));
  }
  const request = new Request("http://localhost:3000/", { method, body, headers });
  const response = await require(route)[method](request, { params: Promise.resolve(params) });
  const printed = { status: response.status, headers: Object.fromEntries(response.headers), body: await response.json() };
  process.stdout.write(JSON.stringify(printed));
}

main();
