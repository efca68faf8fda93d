import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { mayBeInsecure, rangeOf, registryAddressOf } from "./registry-address.js";

test("a domain becomes host and port, docker.io the registry behind it", () => {
  assert.deepEqual(registryAddressOf("docker.io"), { host: "registry-1.docker.io", port: undefined });
  assert.deepEqual(registryAddressOf("[fd00::1]:5000"), { host: "fd00::1", port: 5000 });
  assert.deepEqual(registryAddressOf("reg.example"), { host: "reg.example", port: undefined });
  assert.throws(() => registryAddressOf("reg.example:70000"), InvalidArgumentError);
});

test("addresses are loopback, private or public", () => {
  for (const address of ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
    assert.equal(rangeOf(address), "loopback");
  for (const address of [
    "10.1.1.1",
    "172.16.0.1",
    "192.168.9.9",
    "100.64.0.1",
    "169.254.1.1",
    "fd00::1",
    "fe80::1",
  ]) {
    assert.equal(rangeOf(address), "private", address);
  }
  for (const address of ["8.8.8.8", "172.32.0.1", "192.0.2.1", "2001:db8::1", "0.0.0.0"])
    assert.equal(rangeOf(address), "public");
});

test("plain http is allowed on loopback, and on private addresses that are listed", () => {
  const rows: [domain: string, list: string[], allowed: boolean][] = [
    ["localhost:5000", [], true],
    ["127.0.0.1:5000", [], true],
    ["[::1]:5000", [], true],
    ["10.0.0.1:5000", [], false],
    ["10.0.0.1:5000", ["10.0.0.1:5000"], true],
    ["10.0.0.1:5000", ["10.0.0.1"], true],
    ["10.0.0.1:5001", ["10.0.0.1:5000"], false],
    ["10.0.0.1:5000", ["10.0.0.0/8"], true],
    ["[fd00::1]:5000", ["fd00::/8"], true],
    ["[fd00::1]:5000", ["10.0.0.0/8"], false],
    ["8.8.8.8:5000", ["8.8.8.8:5000", "0.0.0.0/0"], false],
    ["registry.lan:5000", ["registry.lan:5000"], true], // its address is checked when it is connected to
    ["registry.lan", [], false],
    ["docker.io", ["docker.io"], false],
  ];
  for (const [domain, list, allowed] of rows)
    assert.equal(mayBeInsecure(registryAddressOf(domain), list), allowed, `${domain} ${list}`);
  assert.throws(() => mayBeInsecure(registryAddressOf("10.0.0.1"), ["10.0.0.0/99"]), InvalidArgumentError);
});
