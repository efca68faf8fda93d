/**
 * Containers outlive the daemon: found again, with their codes, whatever died meanwhile.
 * Nothing is left after the last one.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { afterEach, beforeEach, describe, it } from "node:test";
import { isAlive, processOf } from "../runtime/linux-process.js";
import { type ContainerLab, openContainerLab } from "./container-lab.js";
import type { ContainerSpecification } from "./container-manager.js";
import { openLevelContainerState } from "./level-container-state.js";

describe("container adoption", () => {
  let lab: ContainerLab;
  beforeEach(async () => {
    lab = await openContainerLab({ safetyPollMs: 100 });
  });
  afterEach(() => lab.close());

  async function started(
    script: string,
    changes: Partial<ContainerSpecification> = {},
  ): Promise<{ id: string; pid: number }> {
    const { id } = await lab.manager.create(lab.spec({ args: ["sh", "-c", script], ...changes }));
    const { pid } = await lab.manager.start(id);
    return { id, pid };
  }

  function monitorPid(id: string): number {
    return Number(readFileSync(join(lab.runDir, "c", id.slice(0, 16), "conmon.pid"), "latin1"));
  }

  it("a running container is found again, goes on, and its end is told", async () => {
    const { id, pid } = await started("while ! test -e /tmp/go; do sleep 0.02; done; echo bye; exit 3");
    await lab.reopen();
    const found = lab.manager.find(id.slice(0, 8));
    assert.equal(found?.state, "running");
    assert.equal(found?.pid, pid);
    assert.ok(processOf(pid) !== undefined);
    const ended = lab.manager.wait(id);
    process.kill(pid, "SIGKILL");
    assert.equal((await ended).exitCode, 137);
  });

  it("an exit while the daemon was away is told with its code", async () => {
    const { id } = await started("sleep 0.3; exit 42");
    const pid = lab.manager.find(id)?.pid ?? 0;
    const identity = processOf(pid);
    assert.ok(identity !== undefined);
    await lab.manager.close();
    while (isAlive(identity)) await new Promise((resolve) => setTimeout(resolve, 20));
    await lab.reopen();
    const events: string[] = [];
    lab.manager.onEvent((event) => events.push(event.kind));
    const record = await lab.manager.wait(id);
    assert.equal(record.exitCode, 42);
    assert.deepEqual(events, ["die"]);
    assert.ok(record.finishedMs > record.startedMs);
  });

  it("with its monitor killed a container runs on, and its code is 255 in the end", async () => {
    const { id, pid } = await started("sleep 100");
    process.kill(monitorPid(id), "SIGKILL");
    await lab.reopen();
    assert.equal(lab.manager.find(id)?.state, "running");
    process.kill(pid, "SIGKILL");
    const record = await lab.manager.wait(id); // by the slow poll: there is nobody left to tell
    assert.equal(record.exitCode, 255);
    assert.match(record.error, /exit code was lost/);
  });

  it("after a reboot it is exited with 255 and can be started again", async () => {
    const { id, pid } = await started("sleep 100");
    await lab.manager.close();
    process.kill(monitorPid(id), "SIGKILL");
    process.kill(pid, "SIGKILL");
    await rm(join(lab.runDir, "x"), { recursive: true });
    await rm(join(lab.runDir, "c"), { recursive: true });
    await lab.reopen();
    assert.equal((await lab.manager.wait(id)).exitCode, 255);
    await lab.manager.start(id); // waits for the clean-up of the run that was lost
    assert.equal((await lab.manager.stop(id, { gracePeriodMs: 0 })).exitCode, 137);
  });

  it("secrets are gone after a reboot: the start says so instead of running without them", async () => {
    const file = { target: "/run/secrets/a", data: Buffer.from("s"), uid: 0, gid: 0, mode: 0o400 };
    const { id } = await lab.manager.create(lab.spec({ args: ["true"], files: [file] }));
    await lab.manager.close();
    await rm(join(lab.runDir, "s", id), { recursive: true });
    await lab.reopen();
    await assert.rejects(lab.manager.start(id), /\/run\/secrets\/a of container .* was lost by a reboot/);
    assert.equal(lab.manager.find(id)?.state, "created");
  });

  it("what a create cut short left is cleared up, its secrets too; what a release left is released", async () => {
    const stray = "f".repeat(64);
    const { id } = await lab.manager.create(lab.spec({ args: ["true"] }));
    await lab.manager.start(id);
    await lab.manager.wait(id);
    await lab.manager.close();
    const left = [
      join(lab.runDir, "s", stray),
      join(lab.runDir, "e", stray.slice(0, 16)),
      join(lab.runDir, "e", id.slice(0, 16)),
      join(lab.dir, "containers", stray),
    ];
    for (const path of left) mkdirSync(path, { recursive: true });
    writeFileSync(join(lab.runDir, "s", stray, "0"), "secret");
    await lab.reopen();
    assert.deepEqual(
      left.filter((path) => existsSync(path)),
      [],
    );
    assert.ok(existsSync(join(lab.dir, "containers", id)));
  });

  it("a creation cut short after its volumes were made leaves none of them", async () => {
    const volume = { name: "f".repeat(64), driver: "", options: {}, labels: {} };
    await lab.manager.volumes.ensure(volume);
    const { id } = await lab.manager.create(lab.spec({ args: ["true"] }));
    await lab.manager.close();
    const state = await openLevelContainerState(join(lab.dir, "state"));
    const stored = (await state.load()).find(({ record }) => record.id === id) ?? assert.fail("no record");
    const volumes = [
      { target: "/v", name: volume.name, anonymous: true, readOnly: false, noCopy: false, subpath: "" },
    ];
    await state.save({ ...stored, volumes, creating: true });
    await state.close();
    await lab.reopen();
    assert.equal(lab.manager.find(id), undefined);
    assert.equal(lab.manager.volumes.find(volume.name), undefined);
  });

  it("two records of one name, and half a runtime's state, keep no daemon from starting", async () => {
    const { id, name } = await lab.manager.create(lab.spec({ args: ["true"] }));
    await lab.manager.close();
    const state = await openLevelContainerState(join(lab.dir, "state"));
    const stored = (await state.load()).find(({ record }) => record.id === id) ?? assert.fail("no record");
    const other = "f".repeat(64);
    await state.save({ ...stored, record: { ...stored.record, id: other } });
    await state.close();
    const half = join(lab.runDir, "rt", "e".repeat(64));
    mkdirSync(half);
    writeFileSync(join(half, "status"), "{");
    await lab.reopen();
    assert.equal(lab.manager.get(name).id, id);
    assert.notEqual(lab.manager.get(other).name, name);
    await lab.manager.remove(other);
    await rm(half, { recursive: true, force: true });
  });

  it("records, which hold the environment, are for root alone", () => {
    assert.equal(statSync(join(lab.dir, "state")).mode & 0o777, 0o700);
  });

  it("a create that fails leaves nothing behind", async () => {
    const before = readdirSync(join(lab.dir, "containers"));
    const file = { target: "no/path", data: Buffer.from("s"), uid: 0, gid: 0, mode: 0o400 };
    const spec = lab.spec({ name: "fails", files: [file] });
    await assert.rejects(lab.manager.create(spec), /absolute path/);
    assert.deepEqual(readdirSync(join(lab.dir, "containers")), before);
    assert.deepEqual(readdirSync(join(lab.runDir, "s")), []);
    assert.equal(lab.manager.find("fails"), undefined);
  });

  it("a process of another boot is not taken for the container's; its policy starts it again", async () => {
    const restartPolicy = { name: "unless-stopped" as const, maximumRetryCount: 0 };
    const { id, pid } = await started("sleep 100", { restartPolicy });
    await lab.manager.close();
    const state = await openLevelContainerState(join(lab.dir, "state"));
    const stored = (await state.load()).find(({ record }) => record.id === id) ?? assert.fail("no record");
    await state.save({ ...stored, bootId: "another" });
    await state.close();
    const deaths: number[] = [];
    await lab.reopen();
    lab.manager.onEvent(({ kind, container }) => {
      if (kind === "die" && container.id === id) deaths.push(container.exitCode);
    });
    assert.deepEqual(deaths, [255]);
    while (lab.manager.get(id).state !== "running") await new Promise((resolve) => setTimeout(resolve, 10));
    assert.notEqual(lab.manager.get(id).pid, pid);
    await lab.manager.remove(id, { force: true });
  });

  it("a custom seccomp profile survives the daemon", async () => {
    const profile = Buffer.from(JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [] }));
    const seccomp = { kind: "custom" as const, profile: new Uint8Array(profile) };
    const { id } = await lab.manager.create(lab.spec({ args: ["true"], seccomp }));
    await lab.reopen();
    await lab.manager.start(id);
    assert.equal((await lab.manager.wait(id)).exitCode, 0);
  });

  it("a start that never ended is cleared up", async () => {
    const { id } = await lab.manager.create(lab.spec({ args: ["sleep", "100"] }));
    await lab.reopen();
    assert.equal(lab.manager.find(id)?.state, "created");
    assert.ok((await lab.manager.start(id)).pid > 0);
    await lab.manager.remove(id, { force: true });
  });

  it("logs are read across the daemon's absence and followed to the end", async () => {
    const { id } = await started("echo one; while ! test -e /tmp/go; do sleep 0.02; done; echo two");
    await lab.reopen();
    const lines: string[] = [];
    const pid = lab.manager.find(id)?.pid ?? 0;
    for await (const record of lab.manager.logs(id, {
      follow: true,
      tail: -1,
      sinceMs: 0,
      stdout: true,
      stderr: true,
    })) {
      lines.push(Buffer.from(record.data).toString("utf8"));
      if (lines.length === 1) await writeInside(pid, "tmp/go");
    }
    assert.deepEqual(lines, ["one\n", "two\n"]);
  });

  it("logs are rotated by size, and every line is kept while the files suffice", async () => {
    const { id } = await started(
      "i=0; while test $i -lt 4000; do echo line $i; i=$((i+1)); done; while ! test -e /tmp/go; " +
        "do sleep 0.02; done; echo last",
      {
        log: { driver: "json-file", maxSizeBytes: 50_000, maxFiles: 10 },
      },
    );
    const pid = lab.manager.find(id)?.pid ?? 0;
    let count = 0;
    let last = "";
    for await (const record of lab.manager.logs(id, {
      follow: true,
      tail: -1,
      sinceMs: 0,
      stdout: true,
      stderr: true,
    })) {
      last = Buffer.from(record.data).toString("utf8");
      count += 1;
      if (count === 4000) {
        while (!(await exists(join(lab.dir, "containers", id, "log.1"))))
          await new Promise((resolve) => setTimeout(resolve, 50));
        await writeInside(pid, "tmp/go");
      }
    }
    assert.equal(count, 4001);
    assert.equal(last, "last\n");
  });

  it("health is probed inside, told by events, and known after a restart", async () => {
    const healthcheck = {
      test: ["CMD-SHELL", "test -e /tmp/ok"],
      intervalMs: 200,
      timeoutMs: 2_000,
      startPeriodMs: 0,
      startIntervalMs: 0,
      retries: 1,
    };
    const { id, pid } = await started("touch /tmp/ok; sleep 100", { healthcheck });
    assert.equal(lab.manager.find(id)?.health, "starting");
    await health(lab, id, "healthy");
    await lab.reopen();
    assert.equal(lab.manager.find(id)?.health, "healthy");
    await rm(`/proc/${pid}/root/tmp/ok`);
    await health(lab, id, "unhealthy");
    await lab.manager.remove(id, { force: true });
  });

  it("failed probes are counted on over a restart", async () => {
    const times = { intervalMs: 100, timeoutMs: 2_000, startPeriodMs: 0, startIntervalMs: 0 };
    const healthcheck = { test: ["CMD", "false"], ...times, retries: 100 };
    const { id } = await started("sleep 100", { healthcheck });
    const streak = (): number => lab.manager.find(id)?.failingStreak ?? 0;
    while (streak() < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    const before = streak();
    await lab.reopen();
    assert.ok(streak() >= before);
    await lab.manager.remove(id, { force: true });
  });

  it("a name is unique while its container exists, ids are found by their beginning", async () => {
    const { id } = await lab.manager.create(lab.spec({ name: "same", args: ["true"] }));
    await assert.rejects(
      lab.manager.create(lab.spec({ name: "same", args: ["true"] })),
      /name "\/same" is already in use/,
    );
    assert.equal(lab.manager.find("same")?.id, id);
    assert.equal(lab.manager.find("/same")?.id, id);
    assert.equal(lab.manager.find(id.slice(0, 12))?.id, id);
    await lab.manager.remove(id);
    assert.equal(lab.manager.find("same"), undefined);
  });

  it("a stop that comes during the start ends the container", async () => {
    const { id } = await lab.manager.create(lab.spec({ args: ["sleep", "100"] }));
    const starting = lab.manager.start(id);
    const record = await lab.manager.stop(id, { gracePeriodMs: 0 });
    await starting;
    assert.equal(record.exitCode, 137);
    assert.equal(lab.manager.find(id)?.state, "exited");
  });

  it("many restarts of one container end in the state of the last call", async () => {
    const { id } = await lab.manager.create(lab.spec({ args: ["sh", "-c", "exit 5"] }));
    for (let round = 0; round < 3; round++) {
      await lab.manager.start(id);
      assert.equal((await lab.manager.wait(id)).exitCode, 5);
    }
    await lab.manager.remove(id.slice(0, 12));
    assert.equal(lab.manager.find(id), undefined);
  });

  it("removal of a running one needs force; nothing is left of it", async () => {
    const { id, pid } = await started("sleep 100", {
      files: [{ target: "/run/secrets/a", data: Buffer.from("s"), uid: 0, gid: 0, mode: 0o400 }],
    });
    await assert.rejects(lab.manager.remove(id), /You cannot remove a running container/);
    await lab.manager.remove(id, { force: true });
    assert.equal(processOf(pid), undefined);
    await lab.manager.close();
    assert.deepEqual(lab.traces(), { mounts: [], cgroups: [] });
    await lab.reopen();
  });

  it("many starts at once keep the event loop free", async () => {
    const records = await Promise.all(
      Array.from({ length: 10 }, () => lab.manager.create(lab.spec({ args: ["sleep", "100"] }))),
    );
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    await Promise.all(records.map(({ id }) => lab.manager.start(id)));
    delay.disable();
    assert.ok(delay.mean / 1e6 < 20, `turns are delayed by ${delay.mean / 1e6} ms`);
    await Promise.all(records.map(({ id }) => lab.manager.remove(id, { force: true })));
  });
});

async function writeInside(pid: number, path: string): Promise<void> {
  const { writeFile } = await import("node:fs/promises");
  await writeFile(`/proc/${pid}/root/${path}`, "");
}

async function exists(path: string): Promise<boolean> {
  const { access } = await import("node:fs/promises");
  return access(path).then(
    () => true,
    () => false,
  );
}

function health(lab: ContainerLab, id: string, wanted: string): Promise<void> {
  return new Promise((resolve) => {
    const look = (): boolean => lab.manager.find(id)?.health === wanted;
    if (look()) return resolve();
    const off = lab.manager.onEvent(() => {
      if (!look()) return;
      off();
      resolve();
    });
  });
}
