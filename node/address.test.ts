import assert from "node:assert/strict";
import { test } from "node:test";
import { formatHostPort, parseHostPort, resolveAddress } from "./address.js";

test("parseHostPort, with and without port, both families", () => {
  assert.deepEqual(parseHostPort("10.0.0.1:2400", 2377), { host: "10.0.0.1", port: 2400 });
  assert.deepEqual(parseHostPort("10.0.0.1", 2377), { host: "10.0.0.1", port: 2377 });
  assert.deepEqual(parseHostPort("eth0:2400", 2377), { host: "eth0", port: 2400 });
  assert.deepEqual(parseHostPort("[fd00::1]:2400", 2377), { host: "fd00::1", port: 2400 });
  assert.deepEqual(parseHostPort("fd00::1", 2377), { host: "fd00::1", port: 2377 });
});

test("parseHostPort refuses an empty host and ports out of range", () => {
  for (const text of ["", ":2377", "10.0.0.1:0", "10.0.0.1:70000", "a:b:c"]) {
    assert.throws(() => parseHostPort(text, 2377), /HOST or HOST:PORT/, text);
  }
});

test("formatHostPort puts brackets around IPv6", () => {
  assert.equal(formatHostPort({ host: "10.0.0.1", port: 1 }), "10.0.0.1:1");
  assert.equal(formatHostPort({ host: "fd00::1", port: 1 }), "[fd00::1]:1");
});

test("resolveAddress keeps an IP and refuses an interface that is not there", () => {
  assert.equal(resolveAddress("192.0.2.7", "--advertise-addr"), "192.0.2.7");
  assert.throws(
    () => resolveAddress("nosuch0", "--advertise-addr"),
    /--advertise-addr must be an IP address or the name of an interface/,
  );
});
