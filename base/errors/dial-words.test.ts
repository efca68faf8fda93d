/** What nobody listens for is told as Docker does, anything else in its own words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dialWords } from "./dial-words.js";

const refused = (address: string): Error =>
  Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED", address, port: 5000 });

test("a refused connection names the address, of several the last", () => {
  const words = "dial tcp 127.0.0.1:5000: connect: connection refused";
  assert.equal(dialWords(refused("127.0.0.1")), words);
  assert.equal(dialWords(new AggregateError([refused("::1"), refused("127.0.0.1")])), words);
  assert.equal(dialWords(refused("::1")), "dial tcp [::1]:5000: connect: connection refused");
});

test("any other error keeps its words", () => {
  assert.equal(dialWords(new Error("socket hang up")), "socket hang up");
});
