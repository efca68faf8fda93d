import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DataLossError } from "../base/errors/errors.js";
import { NO_LOCK } from "./sealed-identity.js";
import { SwarmFiles, type SwarmState } from "./swarm-files.js";

const state: SwarmState = {
  nodeId: "n",
  clusterId: "c",
  role: "worker",
  listenAddress: "0.0.0.0:2377",
  advertiseAddress: "10.0.0.1:2377",
  advertiseInterface: "",
  dataPathAddress: "10.0.0.1",
  managers: ["10.0.0.2:2377"],
};
const first = { keyPem: "key 1", certificatePem: "certificate 1", rootCaPem: "root" };
const second = { keyPem: "key 2", certificatePem: "certificate 2", rootCaPem: "root" };

function inFolder(run: (dataDir: string, files: SwarmFiles) => void): void {
  const dataDir = mkdtempSync(join(tmpdir(), "skein-swarm-files-"));
  try {
    run(dataDir, new SwarmFiles(dataDir));
  } finally {
    rmSync(dataDir, { recursive: true });
  }
}

test("state and identity come back as they were saved; before that and after removal there is nothing", () => {
  inFolder((_dataDir, files) => {
    assert.equal(files.load(), undefined);
    files.saveIdentity(first);
    files.saveState(state);
    assert.deepEqual(files.load(), { state, identity: { identity: first, lock: NO_LOCK } });
    files.remove();
    assert.equal(files.load(), undefined);
  });
});

test("a renewal changes key and certificate in one file, so that a crash in between leaves a pair that fits", () => {
  inFolder((dataDir, files) => {
    files.saveState(state);
    const folder = join(dataDir, "swarm");
    const contents = (): Map<string, string> =>
      new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "utf8")]));
    files.saveIdentity(first);
    const before = contents();
    files.saveIdentity(second);
    const changed = [...contents()].filter(([name, text]) => before.get(name) !== text).map(([name]) => name);
    assert.equal(changed.length, 1, changed.join(", "));
    assert.deepEqual(files.load()?.identity, { identity: second, lock: NO_LOCK });
    for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o077, 0, name);
  });
});

test("damaged files are told apart from missing ones, and no message shows their content", () => {
  inFolder((dataDir, files) => {
    files.saveState(state);
    assert.throws(() => files.load(), DataLossError);
    files.saveIdentity(first);
    writeFileSync(join(dataDir, "swarm", "identity.json"), '{"keyPem":"hush"');
    assert.throws(
      () => files.load(),
      (error: unknown) => error instanceof DataLossError && !error.message.includes("hush"),
    );
  });
});
