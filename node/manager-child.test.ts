import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { ManualClock } from "../base/clock/manual-clock.js";
import { silentLogger } from "../base/log/logger.js";
import { SeededRandom } from "../base/random/seeded-random.js";
import { ManagerChild } from "./manager-child.js";

/**
 * A manager that notes each start, and serves or fails as the plan in its folder says: one letter per start.
 */
const FAKE_MAIN = `
import { appendFileSync, readFileSync } from "node:fs";
const dir = new URL(".", import.meta.url).pathname;
process.on("message", (message) => {
  if (message.kind === "stop") process.exit(0);
  if (message.kind !== "start") return;
  appendFileSync(dir + "starts", message.config.mode.kind[0]);
  const starts = readFileSync(dir + "starts", "utf8").length;
  const plan = readFileSync(dir + "plan", "utf8")[starts - 1];
  if (plan === "f") {
    process.send({ kind: "failed", code: "unavailable", message: "the port is taken" });
    setImmediate(() => process.exit(1));
    return;
  }
  process.send({ kind: "ready", nodeId: "n", clusterId: "c", identity: undefined });
  if (plan === "c") setImmediate(() => process.exit(1)); // crashes right afterwards
});
process.on("disconnect", () => process.exit(0));
`;

const identity = { certificatePem: "cert", keyPem: "key", rootCaPem: "root" };
const mode = { kind: "resume", nodeId: "n", clusterId: "c", identity } as const;

interface Lab extends AsyncDisposable {
  readonly clock: ManualClock;
  readonly child: ManagerChild;
  starts(): string;
  /** Advances the clock until so many starts were seen. */
  untilStarts(count: number): Promise<void>;
}

function lab(plan: string): Lab {
  const dir = mkdtempSync(join(tmpdir(), "skein-manager-child-"));
  writeFileSync(join(dir, "main.mjs"), FAKE_MAIN);
  writeFileSync(join(dir, "plan"), plan);
  writeFileSync(join(dir, "starts"), "");
  const clock = new ManualClock();
  const child = new ManagerChild({
    place: {
      dir,
      socketPath: join(dir, "m.sock"),
      listen: { host: "127.0.0.1", port: 1 },
      advertiseAddress: "127.0.0.1:1",
      hostname: "h",
    },
    user: undefined,
    logLevel: "error",
    clock,
    random: new SeededRandom(1),
    log: silentLogger,
    main: pathToFileURL(join(dir, "main.mjs")),
  });
  const starts = (): string => readFileSync(join(dir, "starts"), "utf8");
  return {
    clock,
    child,
    starts,
    async untilStarts(count) {
      for (let turn = 0; starts().length < count; turn++) {
        assert.ok(turn < 1_000, `only ${starts().length} starts came`);
        clock.advance(1_000);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    async [Symbol.asyncDispose]() {
      await child.stop();
      rmSync(dir, { recursive: true });
    },
  };
}

test("a manager that fails to start again is tried once per pause, never twice at a time", async () => {
  await using it = lab("cffff".padEnd(40, "r"));
  await it.child.start(mode);
  await it.untilStarts(6);
  for (let turn = 0; turn < 20; turn++) {
    it.clock.advance(10_000);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(it.starts(), "r".repeat(6));
});

test("a resume that fails says why, and is tried again until it serves", async () => {
  await using it = lab("ffr");
  await assert.rejects(it.child.start(mode), { code: "unavailable", message: "the port is taken" });
  assert.equal(it.child.started, false);
  await it.untilStarts(3);
  for (let turn = 0; turn < 500 && !it.child.started; turn++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(it.child.started, true);
});

test("it tells when it serves, when it has ended, and that it could not start", async () => {
  await using it = lab("cfr");
  const told: boolean[] = [];
  it.child.onServing((isServing) => told.push(isServing));
  await it.child.start(mode);
  assert.equal(told[0], true);
  await it.untilStarts(3);
  for (let turn = 0; turn < 500 && told.length < 4; turn++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(told, [true, false, false, true]);
  it.child.onServing((isServing) => told.push(isServing)); // at once: it serves
  assert.equal(told.length, 5);
});

test("a failed join is not repeated: its caller decides", async () => {
  await using it = lab("fr");
  await assert.rejects(it.child.start({ ...mode, kind: "join", managers: [] }), { code: "unavailable" });
  it.clock.advance(60_000);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(it.starts(), "j");
});
