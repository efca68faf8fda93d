import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, connectionTrouble } from "./endpoint.js";
import { sshArguments } from "./process-ssh-agent.js";

test("addresses are read with their default ports, and IPv6 in brackets", () => {
  assert.deepEqual(addressOf("unix:///run/x.sock"), { kind: "unix", path: "/run/x.sock" });
  assert.deepEqual(addressOf("tcp://host1"), { kind: "tcp", host: "host1", port: 2375, secure: false });
  assert.deepEqual(addressOf("tcp://host1", true), { kind: "tcp", host: "host1", port: 2376, secure: true });
  assert.deepEqual(addressOf("https://[fd00::1]:99/"), {
    kind: "tcp",
    host: "fd00::1",
    port: 99,
    secure: true,
  });
  assert.deepEqual(addressOf("ssh://root@host1:2222/run/skein.sock"), {
    kind: "ssh",
    host: "host1",
    user: "root",
    port: 2222,
    socketPath: "/run/skein.sock",
  });
});

test("an address that ssh could take for an option, that holds a password or has another scheme is refused", () => {
  for (const host of ["ssh://-oProxyCommand=x", "ssh://-l@host", "ssh://h/a b", "ssh://h/$(x)", "ssh://a;b"])
    assert.throws(() => addressOf(host), /must be ssh:\/\/\[USER@\]HOST/, host);
  assert.throws(
    () => addressOf("ssh://user:pass@host"),
    (error: Error) => !error.message.includes("pass@") && error.message.includes("without a password"),
  );
  for (const host of ["", "host1", "npipe:////./pipe/x", "tcp://", "tcp://a:b:c"])
    assert.throws(() => addressOf(host, false, "SKEIN_HOST"), /SKEIN_HOST must be unix:\/\/\/PATH/, host);
});

test("ssh is given the address as plain words", () => {
  assert.deepEqual(sshArguments({ kind: "ssh", host: "h", user: "u", port: 22, socketPath: "/s" }).slice(3), [
    ...["-l", "u", "-p", "22", "--", "h"],
    ...["skein", "--host", "unix:///s", "system", "dial-stdio"],
  ]);
});

test("ssh asks nothing where nobody can answer", () => {
  const args = sshArguments({ kind: "ssh", host: "h" }, false);
  assert.deepEqual(args.slice(3, 5), ["-o", "BatchMode=yes"]);
  assert.ok(!sshArguments({ kind: "ssh", host: "h" }).includes("BatchMode=yes"));
});

test("a failed connection is told with who named it and what to do; other failures are not", () => {
  const endpoint = { host: "tcp://host1", source: "DOCKER_HOST" };
  assert.match(
    connectionTrouble(endpoint, "ECONNREFUSED") ?? "",
    /^cannot reach skeind at tcp:\/\/host1 \(ECONNREFUSED; named by DOCKER_HOST\): nothing listens there/,
  );
  assert.match(connectionTrouble(endpoint, "SELF_SIGNED_CERT_IN_CHAIN") ?? "", /--tlscacert/);
  assert.match(connectionTrouble(endpoint, "HPE_INVALID_CONSTANT") ?? "", /--tlsverify/);
  assert.equal(connectionTrouble(endpoint, "ABORT_ERR"), undefined);
});
