/**
 * One exchange: when its signal fires, and how an error is answered.
 */
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { NotFoundError, ResourceExhaustedError } from "../base/errors/errors.js";
import { Exchange, sendError } from "./http-exchange.js";

function exchangeOf(): { exchange: Exchange; response: EventEmitter } {
  const response = new EventEmitter();
  // Only `once("close")` of the response is used here.
  const parts = {
    request: {} as IncomingMessage,
    response: response as unknown as ServerResponse,
    params: {},
    query: new URLSearchParams(),
  };
  return { exchange: new Exchange(parts), response };
}

const fired = (signal: AbortSignal): Promise<void> =>
  new Promise((done) => signal.addEventListener("abort", () => done(), { once: true }));

test("the signal of an exchange fires when the client goes away", async () => {
  const { exchange, response } = exchangeOf();
  const signal = exchange.gone({ withinMs: 60_000 });
  response.emit("close");
  assert.ok(signal.aborted);
});

test("the signal of an exchange fires in time, also when memory is collected meanwhile", async () => {
  const { exchange } = exchangeOf();
  const waiting = fired(exchange.gone({ withinMs: 20 }));
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)(); // what the flag exposes
  await waiting;
});

test("the signal of an exchange whose client is gone already has fired", () => {
  const { exchange, response } = exchangeOf();
  Object.assign(response, { destroyed: true });
  assert.ok(exchange.gone().aborted);
});

/** What of a response `sendError` uses. */
function answerTo(error: unknown): { status: number; headers: Map<string, unknown>; body: string } {
  const answer = { status: 0, headers: new Map<string, unknown>(), body: "" };
  const response = {
    headersSent: false,
    setHeader: (name: string, value: unknown) => answer.headers.set(name, value),
    writeHead: (status: number) => (answer.status = status),
    end: (text: string) => (answer.body = text),
  };
  sendError(response as unknown as ServerResponse, error);
  return answer;
}

test("a bound that was reached is answered with Retry-After in whole seconds, and in the text", () => {
  const answer = answerTo(new ResourceExhaustedError("too much waits", { retryAfterMs: 1_200 }));
  assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, 2]);
  assert.match(answer.body, /too much waits \(retry after 1200 ms\)/);
  assert.equal(answerTo(new NotFoundError("no such thing")).headers.size, 0);
});
