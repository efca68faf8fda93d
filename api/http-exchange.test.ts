/**
 * One exchange: when its signal fires.
 */
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Exchange } from "./http-exchange.js";

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
