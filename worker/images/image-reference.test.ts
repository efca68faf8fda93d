import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { holds } from "../../test/fuzz/holds.js";
import { familiarReference, formatReference, parseReference } from "./image-reference.js";

const HEX = "a1".repeat(32);
const DIGEST = `sha256:${HEX}`;

test("a reference gets Docker's defaults and comes back in both forms", () => {
  const rows: [text: string, full: string, familiar: string][] = [
    ["busybox", "docker.io/library/busybox:latest", "busybox:latest"],
    ["busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"],
    ["library/busybox", "docker.io/library/busybox:latest", "busybox:latest"],
    ["index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"],
    ["docker.io/team/app", "docker.io/team/app:latest", "team/app:latest"],
    ["team/app:v1", "docker.io/team/app:v1", "team/app:v1"],
    ["localhost/app", "localhost/app:latest", "localhost/app:latest"],
    ["localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"],
    ["reg.example:443/a/b/c:x", "reg.example:443/a/b/c:x", "reg.example:443/a/b/c:x"],
    ["[::1]:5000/app:2", "[::1]:5000/app:2", "[::1]:5000/app:2"],
    ["10.0.0.1:5000/app", "10.0.0.1:5000/app:latest", "10.0.0.1:5000/app:latest"],
    [`app@${DIGEST}`, `docker.io/library/app@${DIGEST}`, `app@${DIGEST}`],
    [`app:1@${DIGEST}`, `docker.io/library/app:1@${DIGEST}`, `app:1@${DIGEST}`],
    ["a__b/c--d.e_f:A.b-C_9", "docker.io/a__b/c--d.e_f:A.b-C_9", "a__b/c--d.e_f:A.b-C_9"],
  ];
  for (const [text, full, familiar] of rows) {
    assert.equal(formatReference(parseReference(text)), full);
    assert.equal(familiarReference(parseReference(text)), familiar);
  }
});

test("a malformed reference is refused with the text and the rule", () => {
  const texts = [
    "", ":tag", "a:", "a:-x", "UPPER", "a/", "/a", "a//b", "a..b", "-a", "a b", "a@sha256:12", `a@sha512:${HEX}`, HEX,
    `${"a".repeat(250)}/bcd`, "a:b:c", "host:port/a", "../a", "a/../b", "a?b", "reg.example/A",
  ]; // biome-ignore format: one table
  for (const text of texts) {
    assert.throws(
      () => parseReference(text),
      (error: unknown) => {
        assert.ok(error instanceof InvalidArgumentError, text);
        assert.match(error.message, /^invalid reference format/);
        return true;
      },
    );
  }
  assert.throws(() => parseReference("UPPER"), /repository name \(library\/UPPER\) must be lowercase/);
});

test("fuzz: formatting and parsing again changes nothing", () => {
  const part = fc.stringMatching(/^[a-z0-9]+([._-][a-z0-9]+)?$/, { size: "small" });
  const domain = fc.constantFrom("", "localhost:5000/", "reg.example/", "docker.io/");
  const tag = fc.constantFrom("", ":latest", ":v1.0-x_y");
  const digest = fc.constantFrom("", `@${DIGEST}`);
  holds(
    fc.property(domain, fc.array(part, { minLength: 1, maxLength: 3 }), tag, digest, (d, parts, t, g) => {
      const path = parts.join("/");
      fc.pre(path.length < 200 && !(d === "" && parts.length > 1 && (parts[0] ?? "").includes(".")));
      const parsed = parseReference(`${d}${path}${t}${g}`);
      assert.deepEqual(parseReference(formatReference(parsed)), parsed);
      assert.deepEqual(parseReference(familiarReference(parsed)), parsed);
    }),
    { numRuns: 200 },
  );
});
