import assert from "node:assert/strict";
import { test } from "node:test";
import {
  parseFileReference,
  parseGenericResource,
  parseHost,
  parseMount,
  parseNetwork,
  parsePublish,
  parseUlimit,
  splitCommand,
} from "./flag-values.js";

test("publish takes a pair of ports, a range, or keys", () => {
  assert.deepEqual(parsePublish("8080:80"), [
    { Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "ingress" },
  ]);
  assert.deepEqual(parsePublish("53/udp"), [{ Protocol: "udp", TargetPort: 53, PublishMode: "ingress" }]);
  assert.deepEqual(
    parsePublish("8000-8002:80-82").map((port) => [port["PublishedPort"], port["TargetPort"]]),
    [
      [8000, 80],
      [8001, 81],
      [8002, 82],
    ],
  );
  assert.deepEqual(parsePublish("target=80,published=8080,mode=host"), [
    { Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "host" },
  ]);
});

test("publish says where a port is open, for whom, and what tasks see of a client", () => {
  const port = { Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "ingress" };
  const text = "target=80,published=8080,address=10.0.0.1,address=eth1,allow=10.0.0.0/8,source=snat";
  assert.deepEqual(parsePublish(text), [
    { ...port, HostAddresses: ["10.0.0.1", "eth1"], AllowedSources: ["10.0.0.0/8"], SourceMode: "snat" },
  ]);
  assert.deepEqual(parsePublish("10.0.0.1:8080:80"), [{ ...port, HostAddresses: ["10.0.0.1"] }]);
  assert.deepEqual(parsePublish("[fd00::1]:8080:80"), [{ ...port, HostAddresses: ["fd00::1"] }]);
});

test("publish refuses what it does not understand, with the rule", () => {
  assert.throws(() => parsePublish("1:2:3:4"), /must be \[ADDRESS:\]\[PUBLISHED:\]TARGET/);
  assert.throws(() => parsePublish("10.0.0.1::80"), /must be \[ADDRESS:\]\[PUBLISHED:\]TARGET/);
  assert.throws(() => parsePublish("1-3:1-2"), /both ranges must have the same length/);
  assert.throws(() => parsePublish("70000"), /ports of 0 to 65535/);
  assert.throws(
    () => parsePublish("target=80,host=8080"),
    /unknown key "host"; known are target, published, protocol, mode, address, allow, source/,
  );
  assert.throws(() => parsePublish("published=80"), /needs target=PORT/);
});

test("mount takes each type's keys, repeated ones too", () => {
  assert.deepEqual(parseMount("type=bind,src=/a,dst=/b,ro,bind-propagation=rslave"), {
    Type: "bind",
    Target: "/b",
    Source: "/a",
    ReadOnly: true,
    BindOptions: { Propagation: "rslave" },
  });
  assert.deepEqual(parseMount("source=data,target=/d,volume-opt=type=nfs,volume-opt=device=:/x"), {
    Type: "volume",
    Target: "/d",
    Source: "data",
    VolumeOptions: { DriverConfig: { Name: "local", Options: { type: "nfs", device: ":/x" } } },
  });
  assert.deepEqual(parseMount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777"), {
    Type: "tmpfs",
    Target: "/t",
    TmpfsOptions: { SizeBytes: 1_048_576, Mode: 0o1777 },
  });
  assert.throws(() => parseMount("type=bind,target=/b"), /of type bind needs source=PATH/);
  assert.throws(() => parseMount("type=bind,source=/a"), /needs target=PATH/);
});

test("network takes aliases and driver options", () => {
  assert.deepEqual(parseNetwork("front"), { Target: "front" });
  assert.deepEqual(parseNetwork("name=front,alias=a,alias=b,driver-opt=k=v"), {
    Target: "front",
    Aliases: ["a", "b"],
    DriverOpts: { k: "v" },
  });
  assert.throws(() => parseNetwork("alias=a"), /needs name=NETWORK/);
});

test("secret and config references have Docker's defaults", () => {
  assert.deepEqual(parseFileReference("s", "--secret"), {
    source: "s",
    target: "s",
    uid: "0",
    gid: "0",
    mode: 0o444,
  });
  assert.equal(parseFileReference("source=s,target=t,mode=0400", "--secret").mode, 0o400);
  assert.throws(() => parseFileReference("source=s,mode=99", "--secret"), /mode must be octal/);
});

test("small values: ulimit, generic resource, host, command", () => {
  assert.deepEqual(parseUlimit("nofile=1024:2048"), { Name: "nofile", Soft: 1024, Hard: 2048 });
  assert.deepEqual(parseGenericResource("gpu=2"), { DiscreteResourceSpec: { Kind: "gpu", Value: 2 } });
  assert.deepEqual(parseGenericResource("gpu=uuid1"), { NamedResourceSpec: { Kind: "gpu", Value: "uuid1" } });
  assert.equal(parseHost("db:10.0.0.1"), "10.0.0.1 db");
  assert.deepEqual(splitCommand(`sh -c "echo 'a b'" x`), ["sh", "-c", "echo 'a b'", "x"]);
});
