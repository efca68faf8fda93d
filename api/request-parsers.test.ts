/** What clients send beside bodies: filters, logins, times and tails are read or refused, whatever they hold. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { InternalError, SkeinError, UnauthenticatedError } from "../base/errors/errors.js";
import { holds } from "../test/fuzz/holds.js";
import { labelFilters, listFilters, parseFilters } from "./filters.js";
import { logTail, logTimeNs } from "./log-query.js";
import { registryAuthIn, withRegistryRefusal } from "./registry-auth.js";
import { platformIn } from "./routes/image-transfer-routes.js";

function readsOrRefuses(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof SkeinError, String(error));
  }
}

test("fuzz: filters, logins, times and tails are read or refused", () => {
  const key = fc.constantFrom("label", "name", "__proto__", "x");
  const shaped = fc.dictionary(
    key,
    fc.oneof(fc.jsonValue(), fc.array(fc.string()), fc.dictionary(key, fc.boolean())),
  );
  const json = fc.oneof(shaped, fc.jsonValue()).map((value) => JSON.stringify(value));
  const text = fc.oneof(
    json,
    fc.string(),
    json.map((words) => Buffer.from(words).toString("base64url")),
    fc.stringMatching(/^[0-9.:TZ+-]{0,40}$/),
  );
  holds(
    fc.property(text, (words) => {
      readsOrRefuses(() => {
        const filters = parseFilters(words, ["label", "name"]);
        listFilters(filters);
        labelFilters(filters.get("label"));
      });
      readsOrRefuses(() => registryAuthIn(words));
      readsOrRefuses(() => logTimeNs(words));
      readsOrRefuses(() => logTail(words));
    }),
    { numRuns: 2_000 },
  );
});

test("a platform is a system, an architecture, or both; what is neither is refused", () => {
  assert.deepEqual(platformIn("linux/arm64/v8"), { os: "linux", architecture: "arm64", variant: "v8" });
  assert.deepEqual(platformIn("aarch64"), { os: "linux", architecture: "arm64" });
  assert.deepEqual(platformIn("windows"), { os: "windows", architecture: "amd64" });
  assert.throws(() => platformIn("nonsense"), /"nonsense": unknown operating system or architecture/);
  assert.throws(() => platformIn("a/b/c/d"), /"a\/b\/c\/d": cannot parse platform specifier/);
});

test("a registry that refuses the daemon is no 401 of this API", async () => {
  await assert.rejects(withRegistryRefusal(Promise.reject(new UnauthenticatedError("no"))), InternalError);
  assert.equal(await withRegistryRefusal(Promise.resolve(1)), 1);
});
