import assert from "node:assert/strict";
import { test } from "node:test";
import { dataOfVersion, newestVersion, OLD_DATA_BYTES_MAX, withNewData } from "./data-versions.js";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const none: ReadonlySet<number> = new Set();
const given = { needed: none, wanted: none, kept: 0, createdAtMs: 0, what: "config page" };

function versioned(count: number, kept = 0) {
  let object = { data: bytes("v1"), dataVersion: 0, oldVersions: [] as readonly never[] } as Parameters<
    typeof withNewData
  >[0];
  for (let number = 2; number <= count; number++)
    object = withNewData(object, { ...given, data: bytes(`v${number}`), kept });
  return object;
}

const numbers = (object: ReturnType<typeof versioned>): readonly number[] =>
  object.oldVersions.map(({ number }) => number);

test("new data gets the next number, and the newest few are kept", () => {
  const object = versioned(8);
  assert.equal(newestVersion(object), 8);
  assert.deepEqual(numbers(object), [4, 5, 6, 7]);
  assert.deepEqual(numbers(versioned(8, 2)), [7]);
  assert.deepEqual(numbers(versioned(8, 1)), []);
});

test("the same data again is no new version", () => {
  const object = versioned(3);
  assert.equal(withNewData(object, { ...given, data: bytes("v3") }), object);
});

test("what is asked for is found; what is gone is not", () => {
  const object = versioned(7);
  assert.deepEqual(dataOfVersion(object, 5), bytes("v5"));
  assert.deepEqual(dataOfVersion(object, 0), bytes("v7"));
  assert.equal(dataOfVersion(object, 1), undefined);
});

test("versions that services use outlive the bound; those they could go back to do while they fit", () => {
  const next = withNewData(versioned(6), {
    ...given,
    data: bytes("v7"),
    needed: new Set([2]),
    wanted: new Set([3]),
    kept: 1,
  });
  assert.deepEqual(numbers(next), [2, 3]);
});

test("bytes are bounded: the newest that fit are kept, and what is needed is never dropped", () => {
  const large = (fill: number): Uint8Array => new Uint8Array(OLD_DATA_BYTES_MAX / 2).fill(fill);
  const object = [2, 3, 4].reduce(
    (before, number) => withNewData(before, { ...given, data: large(number) }),
    { data: large(1), dataVersion: 1, oldVersions: [] as ReturnType<typeof versioned>["oldVersions"] },
  );
  assert.deepEqual(numbers(object), [2, 3]);
  assert.throws(
    () => withNewData(object, { ...given, data: large(5), needed: new Set([2, 3, 4]) }),
    /config page has 3 versions, and those that services use do not fit/,
  );
});
