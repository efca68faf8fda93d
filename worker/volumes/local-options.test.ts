/** Options of the local driver. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { holds } from "../../test/fuzz/holds.js";
import { localMount, serverName, withServerAddress } from "./local-options.js";

test("words of o are flags for the kernel, or data for the file system", () => {
  assert.equal(localMount({}), undefined);
  assert.deepEqual(
    localMount({ type: "nfs", device: ":/x", o: "addr=store, rw,ro,vers=4,defaults,noexec" }),
    {
      type: "nfs",
      device: ":/x",
      flags: ["ro", "noexec"],
      data: ["addr=store", "vers=4"],
    },
  );
});

test("an unknown or missing option is named", () => {
  assert.throws(() => localMount({ foo: "1" }), /invalid option: "foo"/);
  assert.throws(() => localMount({ type: "tmpfs" }), /missing required option: "device"/);
  assert.throws(() => localMount({ device: "tmpfs" }), /missing required option: "type"/);
  assert.throws(() => localMount({ size: "1G" }), /quota size requested but no quota support/);
});

test("the server's name is looked up for network file systems alone", () => {
  const nfs = localMount({ type: "nfs", device: ":/x", o: "addr=store,ro" });
  assert.ok(nfs !== undefined);
  assert.equal(serverName(nfs), "store");
  assert.deepEqual(withServerAddress(nfs, "10.0.0.1").data, ["addr=10.0.0.1"]);
  assert.equal(serverName({ ...nfs, type: "tmpfs" }), undefined);
});

test("fuzz: options are taken or refused with words, and nothing unsafe reaches the kernel", () => {
  const options = fc.dictionary(fc.constantFrom("type", "o", "device", "size", "x"), fc.string());
  holds(
    fc.property(options, (given) => {
      try {
        const mount = localMount(given);
        assert.ok(mount === undefined || !JSON.stringify(mount).includes("\\u0000"));
      } catch (error) {
        assert.ok(error instanceof InvalidArgumentError, String(error));
      }
    }),
  );
});
