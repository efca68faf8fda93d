import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { ApiClient } from "./http-client.js";

test("a refusal that comes before the body ends the source, which may never say anything", async () => {
  const server = createServer((_request, response) => {
    response.writeHead(503, { "content-type": "application/json" });
    response.end('{"message":"already part of a swarm"}');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { port } = server.address() as AddressInfo; // of TCP
    const source = new PassThrough();
    const closed = once(source, "close");
    await assert.rejects(
      new ApiClient(`tcp://127.0.0.1:${port}`).stream("POST", "/restore", { stream: source }),
      { name: "ApiError", status: 503, message: "already part of a swarm" },
    );
    await closed;
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("a call whose signal has fired already is not carried out", async () => {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked++;
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { port } = server.address() as AddressInfo; // of TCP
    const client = new ApiClient(`tcp://127.0.0.1:${port}`);
    await assert.rejects(client.text("POST", "/backup", { signal: AbortSignal.abort() }));
    assert.equal(asked, 0);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("what answers with something else, or half of it, is named", async () => {
  const server = createServer((request, response) => {
    response.write("<html>");
    if (request.url === "/half") response.destroy();
    else response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { port } = server.address() as AddressInfo; // of TCP
    const client = new ApiClient(`tcp://127.0.0.1:${port}`);
    await assert.rejects(client.call("GET", "/html"), /tcp:.* is no skeind: its answer is not JSON/);
    await assert.rejects(client.call("GET", "/half"), /tcp:.* closed the connection|cannot reach/);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
