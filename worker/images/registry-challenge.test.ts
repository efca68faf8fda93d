import assert from "node:assert/strict";
import { test } from "node:test";
import { parseChallenges, registryWordsOf } from "./registry-challenge.js";

test("challenges are read with quoted and bare parameters", () => {
  assert.deepEqual(
    parseChallenges(
      'Bearer realm="https://a.example/t?x=1,2",service="s \\"q\\"",scope=pull, Basic realm="b"',
    ),
    [
      {
        scheme: "bearer",
        parameters: { realm: "https://a.example/t?x=1,2", service: 's "q"', scope: "pull" },
      },
      { scheme: "basic", parameters: { realm: "b" } },
    ],
  );
  assert.deepEqual(parseChallenges(""), []);
  assert.deepEqual(parseChallenges("Negotiate"), [{ scheme: "negotiate", parameters: {} }]);
});

test("a registry's words are its code and message, or the status and the page", () => {
  const body = JSON.stringify({
    errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown", detail: {} }],
  });
  assert.deepEqual(registryWordsOf(body, 404), {
    code: "MANIFEST_UNKNOWN",
    text: "manifest unknown: manifest unknown",
  });
  assert.equal(registryWordsOf("", 502).text, "status 502");
  assert.equal(registryWordsOf("<html><h1>Bad\nGateway</h1></html>", 502).text, "status 502: Bad Gateway");
  assert.equal(registryWordsOf("x".repeat(1000), 500).text.length, 301);
});
