import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeDaemon } from "../daemon-fixtures.js";
import { buildProgram } from "../program.js";
import { connectBody } from "./network-attach-commands.js";
import { driverOf } from "./secret-commands.js";

test("connect says what the flags say", () => {
  assert.deepEqual(connectBody("c", {}), {
    Container: "c",
    EndpointConfig: { Aliases: [], Links: [], DriverOpts: {}, GwPriority: 0 },
  });
  const flags = {
    alias: ["db"],
    ip: "10.0.0.9",
    linkLocalIp: ["169.254.1.1"],
    gwPriority: "-5",
    driverOpt: ["a=b"],
  };
  assert.deepEqual(connectBody("c", flags)["EndpointConfig"], {
    Aliases: ["db"],
    Links: [],
    DriverOpts: { a: "b" },
    GwPriority: -5,
    IPAMConfig: { IPv4Address: "10.0.0.9", LinkLocalIPs: ["169.254.1.1"] },
  });
  assert.throws(() => connectBody("c", { gwPriority: "high" }), /--gw-priority must be an integer/);
});

test("containers are connected and disconnected, unused networks removed without a question when forced", async () => {
  await using daemon = await FakeDaemon.open(({ path }) => ({
    json: path === "/networks/prune" ? { NetworksDeleted: ["one", "two"] } : {},
  }));
  const skein = async (...words: string[]): Promise<void> => {
    const program = await buildProgram(daemon.context, "all");
    await program.parseAsync(["network", ...words], { from: "user" });
  };
  await skein("connect", "front", "web");
  await skein("disconnect", "--force", "front", "web");
  await skein("prune", "--force", "--filter", "until=1h");
  assert.deepEqual(daemon.changes, [
    "POST /networks/front/connect",
    "POST /networks/front/disconnect",
    "POST /networks/prune",
  ]);
  assert.deepEqual(JSON.parse(daemon.seen[1]?.body.toString() ?? ""), { Container: "web", Force: true });
  assert.equal(daemon.seen[2]?.query.get("filters"), '{"until":["1h"]}');
  assert.deepEqual(daemon.printed, ["Deleted Networks:\none\ntwo"]);
});

test("a secret's driver may have options", () => {
  assert.deepEqual(driverOf("vault"), { Name: "vault" });
  assert.deepEqual(driverOf("vault,path=secret/db"), { Name: "vault", Options: { path: "secret/db" } });
  assert.throws(
    () => driverOf("vault,path"),
    /--driver must be NAME\[,OPTION=VALUE…\], got "path" in "vault,path"/,
  );
});
