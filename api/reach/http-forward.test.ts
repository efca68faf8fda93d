/**
 * What a node may answer through a tunnel and must not bring down with it: the daemon that asked ends on an
 * error that nobody handles.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  type AddressInfo,
  connect,
  createServer as createPlainServer,
  type Server,
  type Socket,
} from "node:net";
import { type TestContext, test } from "node:test";
import { type UpgradeParts, upgradedResponse } from "../http-hijack.js";
import { forward } from "./http-forward.js";
import { TunnelServer } from "./http-tunnel-server.js";

async function portOf(context: TestContext, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => server.close());
  return (server.address() as AddressInfo).port; // it listens on TCP
}

/** All that the other side says until it ends. */
async function said(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return text;
}

/** A client sends a request, a node answers these bytes to whatever it is asked. */
async function exchange(
  context: TestContext,
  { asked, answer }: { asked: string; answer: string },
): Promise<{ passedOn: string; outcome: string; got: string }> {
  let passedOn = "";
  const nodePort = await portOf(
    context,
    createPlainServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.once("data", (data) => {
        passedOn = String(data);
        socket.end(answer);
      });
    }),
  );
  let settle = (_outcome: string): void => undefined;
  const outcome = new Promise<string>((resolve) => {
    settle = resolve;
  });
  const serve = (request: IncomingMessage, response: ServerResponse, upgrade?: UpgradeParts): void => {
    const tunnel = connect(nodePort, "127.0.0.1");
    forward({ request, response, upgrade, target: "/x", tunnel }).then(
      () => settle("passed"),
      (error: Error) => {
        settle(error.message);
        response.writeHead(503, { connection: "close" }).end();
      },
    );
  };
  const api = createServer((request, response) => serve(request, response));
  api.on("upgrade", (request, socket, head) => {
    const response = upgradedResponse(request, socket as Socket); // it came by TCP
    assert.ok(response !== undefined);
    serve(request, response, { socket, head });
  });
  const client = connect(await portOf(context, api), "127.0.0.1");
  client.write(asked);
  const got = await said(client);
  return { outcome: await outcome, passedOn, got };
}

const GET = "GET /containers/web.1/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";

test("an answer is passed on, with its length and without its trailer", async (context) => {
  const answer = "HTTP/1.1 200 OK\r\nTrailer: t\r\nContent-Length: 2\r\n\r\nok";
  const { outcome, got } = await exchange(context, { asked: `${GET}\r\n`, answer });
  assert.equal(outcome, "passed");
  assert.match(got, /^HTTP\/1\.1 200 OK\r\n(?=.*content-length: 2\r\n)(?!.*trailer).*\r\n\r\nok$/is);
});

test("an answer that is none ends the call with an error, and nothing else", async (context) => {
  for (const [answer, why] of [
    ["HTTP/1.1 001 OK\r\nContent-Length: 2\r\n\r\nok", /broke: Invalid status code: 1$/],
    ["HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\nok", /broke: it left HTTP/],
    ["no HTTP\r\n\r\n", /broke: Parse Error/],
    ["", /broke: socket hang up$/],
  ] as const) {
    const { outcome, got } = await exchange(context, { asked: `${GET}\r\n`, answer });
    assert.match(outcome, why);
    assert.match(got, /^HTTP\/1\.1 503 /);
  }
});

test("credentials that a client sends with whatever it asks do not reach the node", async (context) => {
  const secrets =
    "Authorization: Bearer s3cret\r\nCookie: s3cret\r\nX-Registry-Auth: s3cret\r\nX-Kept: yes\r\n";
  const answer = "HTTP/1.1 204 No Content\r\n\r\n";
  const plain = await exchange(context, { asked: `${GET}${secrets}\r\n`, answer });
  const attach =
    "POST /containers/web.1/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n";
  const upgraded = await exchange(context, { asked: `${attach}${secrets}\r\n`, answer });
  for (const { passedOn } of [plain, upgraded]) {
    assert.match(passedOn, /x-kept: yes\r\n/i);
    assert.doesNotMatch(passedOn, /s3cret/);
  }
  assert.match(upgraded.passedOn, /^POST \/x HTTP\/1\.1\r\n.*Upgrade: tcp\r\n/s);
});

test("a tunnel serves one request, whatever follows it", async (context) => {
  const served: string[] = [];
  const tunnels = new TunnelServer((server) => {
    server.on("request", (request, response) => {
      served.push(request.url ?? "");
      response.end("ok");
    });
  });
  const client = connect(
    await portOf(
      context,
      createPlainServer((socket) => tunnels.accept(socket)),
    ),
  );
  const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  client.write(`${request("/first")}${request("/second")}`);
  const got = await said(client);
  assert.deepEqual(served, ["/first"]);
  assert.match(got, /^HTTP\/1\.1 200 OK\r\n.*Connection: close/s);
});

test("a tunnel that brings half of a head is closed; one whose answer takes long is not", async (context) => {
  let answer = (): void => undefined;
  const tunnels = new TunnelServer((server) => {
    server.on("request", (_request, response) => {
      answer = () => void response.end("late");
    });
  }, 20);
  const port = await portOf(
    context,
    createPlainServer((socket) => tunnels.accept(socket)),
  );
  const [half, whole] = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
  whole.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  half.write("GET / HTTP/1.1\r\nHo");
  assert.equal(await said(half), "");
  const late = connect(port, "127.0.0.1"); // comes, and goes, after the other's time is up as well
  assert.equal(await said(late), "");
  answer();
  assert.match(await said(whole), /late$/);
  tunnels.close();
  assert.equal(await said(connect(port, "127.0.0.1")), "");
});
