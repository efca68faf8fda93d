/**
 * What a manager's disk does to it: full, read-only, torn at the end, damaged in the middle and at the end.
 * One real manager on a small disk of its own.
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import type { HttpAnswer } from "../support/lab/lab-host.js";
import {
  call,
  containerOf,
  createService,
  dissolve,
  formSwarm,
  isUp,
  messageIn,
  pidOf,
  processStart,
  tasks,
  until,
  untilNodes,
  untilRunning,
} from "../support/lab/lab-swarm.js";
import { run } from "../support/lab/shell.js";

let lab: Lab;

const folder = (): string => join(lab.host(1).dataDir, "manager");

before(async () => {
  lab = await Lab.open({ hosts: 1, clients: 0 });
  mkdirSync(folder(), { recursive: true });
  await run("mount", ["-t", "tmpfs", "-o", "size=48m,mode=0700", "none", folder()]);
  await formSwarm(lab, { managers: 1 });
  await createService(lab.host(1), { name: "app", replicas: 2 });
  await untilRunning(lab.host(1), "app", 2);
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

const configNames = async (): Promise<readonly string[]> =>
  (await call<readonly { Spec: { Name: string } }[]>(lab.host(1), "GET", "/configs"))
    .map(({ Spec }) => Spec.Name)
    .sort();

const createConfig = (name: string, bytes: number): Promise<HttpAnswer> =>
  lab
    .host(1)
    .api("POST", "/configs/create", { Name: name, Data: Buffer.alloc(bytes, name).toString("base64") });

/** What a disk writes whole or not at all; frames begin and end there. */
const SECTOR = 512;

/** Segments of the log, oldest first. */
function segments(): string[] {
  const inner = (at: string): string[] =>
    readdirSync(at, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory()
        ? inner(join(at, entry.name))
        : /^wal-\w+\.log$/.test(entry.name)
          ? [join(at, entry.name)]
          : [],
    );
  return inner(folder()).sort();
}

/** The segment that is written, and where its last sector ends that is not zero. */
function tail(): { path: string; bytes: Buffer; end: number } {
  const path = segments().findLast((each) =>
    readFileSync(each)
      .subarray(SECTOR)
      .some((byte) => byte !== 0),
  );
  assert.ok(path, "no segment holds records");
  const bytes = readFileSync(path);
  const last = bytes.findLastIndex((byte) => byte !== 0);
  return { path, bytes, end: (Math.floor(last / SECTOR) + 1) * SECTOR };
}

async function processes(): Promise<readonly (readonly [string, number, string | undefined])[]> {
  const up = (await tasks(lab.host(1), "app")).filter(isUp);
  const list = await Promise.all(
    up.map(async (task) => {
      const pid = await pidOf(lab.host(1), containerOf(task));
      return [task.ID, pid, processStart(pid)] as const;
    }),
  );
  return list.sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The manager serves again, with everything it had acknowledged, and takes new writes. */
async function backWith(names: readonly string[], fresh: string): Promise<void> {
  await untilNodes(
    lab.host(1),
    "the manager back",
    (all) => all.length === 1 && all[0]?.Status.State === "ready",
  );
  const found = await configNames();
  for (const name of names) assert.ok(found.includes(name), `${name} is not among ${found.join()}`);
  const answer = await createConfig(fresh, 100);
  assert.equal(answer.status, 201, answer.body);
}

test("full disk while writing the log: stops cleanly, says why, resumes when there is space", async () => {
  const host = lab.host(1);
  const before = await processes();
  assert.equal((await createConfig("a", 1_000)).status, 201);
  // What lies ahead in the log is given back to the disk, and all space taken by somebody else.
  const { path, end } = tail();
  const from = Math.ceil((end + 8_192) / 4_096) * 4_096;
  await run("fallocate", [
    "--punch-hole",
    "--offset",
    String(from),
    "--length",
    String(readFileSync(path).length - from),
    path,
  ]);
  const filler = join(folder(), "filler");
  await host.attempt("dd", ["if=/dev/zero", `of=${filler}`, "bs=4k"]);

  const refused = await createConfig("too-much", 200_000);
  assert.equal(refused.status, 503, refused.body);
  assert.match(messageIn(refused), /raft log cannot be written: .*ENOSPC|no space left/);
  const meanwhile = await until("the manager's end", 20_000, async () => {
    const answer = await host.api("GET", "/nodes");
    return answer.status === 503 ? answer : undefined;
  });
  assert.match(messageIn(meanwhile), /manager does not run, and is started again: .*(ENOSPC|no space left)/i);
  const info = await call<{ Swarm: { Error: string } }>(host, "GET", "/info");
  assert.match(info.Swarm.Error, /ENOSPC|no space left/i);
  assert.match(readFileSync(host.logPath, "utf8"), /"error":"[^"]*ENOSPC[^"]*","msg":"raft stops"/);
  for (const [, pid, startedAt] of before) assert.equal(processStart(pid), startedAt, "containers go on");

  rmSync(filler);
  await backWith(["a"], "b");
  assert.deepEqual(await processes(), before);
});

test("a torn write at the end of the log is cut off", async () => {
  const host = lab.host(1);
  const before = await processes();
  await host.killDaemon();
  const { path, bytes, end } = tail();
  // The second sector of a write that was never acknowledged: its first one did not arrive.
  bytes.fill(0xa5, end + SECTOR, end + 2 * SECTOR);
  writeFileSync(path, bytes);
  await host.start();
  await backWith(["a", "b"], "c");
  assert.match(readFileSync(host.logPath, "utf8"), /cut a torn write off the end of the log/);

  await host.stop();
  // What a clean stop writes last repeats what is known: losing it loses nothing.
  const last = tail();
  last.bytes.fill(0, last.end - SECTOR, last.end);
  writeFileSync(last.path, last.bytes);
  await host.start();
  await backWith(["a", "b", "c"], "d");
  assert.deepEqual(await processes(), before);
});

for (const where of ["in the middle", "in the last record"] as const) {
  test(`damage ${where} of the log is refused and named; containers go on, the mended log is taken`, async () => {
    const host = lab.host(1);
    const before = await processes();
    await host.stop();
    const { path, bytes, end } = tail();
    const at = where === "in the middle" ? SECTOR + Math.floor((end - SECTOR) / 2) : end - SECTOR + 100;
    const good = bytes.readUInt8(at);
    bytes.writeUInt8(good ^ 0xff, at);
    writeFileSync(path, bytes);
    await host.start();
    const answer = await until("a refusal with its reason", 20_000, async () => {
      const found = await host.api("GET", "/nodes");
      return /damaged/.test(found.body) ? found : undefined;
    });
    assert.equal(answer.status, 503);
    assert.match(messageIn(answer), /log segment wal-\w+\.log is damaged at byte \d+.*: a frame/);
    for (const [, pid, startedAt] of before) assert.equal(processStart(pid), startedAt);
    bytes.writeUInt8(good, at);
    writeFileSync(path, bytes);
    await backWith(["a", "b", "c", "d"], where === "in the middle" ? "e" : "f");
    assert.deepEqual(await processes(), before);
  });
}

test("a full disk whose log has room is told of, and the manager goes on", async () => {
  const host = lab.host(1);
  const before = await processes();
  const filler = join(folder(), "filler");
  await host.attempt("dd", ["if=/dev/zero", `of=${filler}`, "bs=4k"]);
  const trouble = async (): Promise<string> =>
    (await call<readonly { Status: { Message?: string } }[]>(host, "GET", "/nodes"))[0]?.Status.Message ?? "";
  let written = 0;
  // It may come and go: what is tried in vain gives back a little room.
  const told = await until("trouble", 30_000, async () => {
    const answer = await createConfig(`full-${written}`, 3_000);
    assert.equal(answer.status, 201, answer.body);
    written += 1;
    const found = await trouble();
    return found === "" ? undefined : found;
  });
  assert.match(told, /manager: .*(ENOSPC|No space left)/i);
  const after = await createConfig("still", 100);
  assert.equal(after.status, 201, after.body);
  rmSync(filler);
  await until("the end of the trouble", 30_000, async () => (await trouble()) === "");
  await host.killDaemon();
  await host.start();
  await backWith(["still", ...Array.from({ length: written }, (_, i) => `full-${i}`)], "g");
  assert.deepEqual(await processes(), before);
});

test("a disk that came up read-only is told of; once it is writable the manager resumes", async () => {
  const host = lab.host(1);
  const before = await processes();
  await host.stop();
  await run("mount", ["-o", "remount,ro", folder()]);
  await host.start();
  const answer = await until("a refusal with its reason", 30_000, async () => {
    const found = await host.api("GET", "/nodes");
    return /EROFS|read-only/i.test(found.body) ? found : undefined;
  });
  assert.equal(answer.status, 503);
  for (const [, pid, startedAt] of before) assert.equal(processStart(pid), startedAt);
  await run("mount", ["-o", "remount,rw", folder()]);
  await backWith(["still"], "h");
  assert.deepEqual(await processes(), before);
});

test("leaving empties the disk that was given to the manager, and leaves it mounted", async () => {
  await call(lab.host(1), "POST", "/swarm/leave?force=1");
  assert.deepEqual(readdirSync(folder()), []);
  await run("umount", [folder()]);
});
