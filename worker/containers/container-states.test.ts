/** States and transitions of real containers, with the words of their refusals. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type ContainerLab, openContainerLab } from "./container-lab.js";
import type { ContainerEvent, ContainerRecord, ContainerSpecification } from "./container-manager.js";

describe("container states", () => {
  let lab: ContainerLab;
  before(async () => {
    lab = await openContainerLab();
  });
  after(() => lab.close());

  async function started(
    script: string,
    changes: Partial<ContainerSpecification> = {},
  ): Promise<ContainerRecord> {
    const { id } = await lab.manager.create(lab.spec({ args: ["sh", "-c", script], ...changes }));
    return lab.manager.start(id);
  }

  /** What is told about one container, as "kind attribute=value". */
  function recorded(id: string): { readonly events: string[]; readonly off: () => void } {
    const events: string[] = [];
    const off = lab.manager.onEvent(({ kind, container, attributes = {} }: ContainerEvent) => {
      if (container.id !== id) return;
      const told = Object.entries(attributes).filter(([name]) => name !== "execDuration");
      events.push([kind, ...told.map(([name, value]) => `${name}=${value}`)].join(" "));
    });
    events.length = 0; // what nobody had listened to
    return { events, off };
  }

  const until = (look: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      if (look()) return resolve();
      const off = lab.manager.onEvent(() => {
        if (!look()) return;
        off();
        resolve();
      });
    });

  const state = (id: string): string => lab.manager.get(id).state;

  it("a name is made up where none is given", async () => {
    const { id, name } = await lab.manager.create(lab.spec({ name: "", args: ["true"] }));
    assert.match(name, /^[a-z]+_[a-z]+$/);
    assert.equal(lab.manager.get(name).id, id);
    await lab.manager.remove(id);
    assert.throws(() => lab.manager.get(id), /No such container/);
  });

  it("refuses what its state does not allow", async () => {
    const { id } = await lab.manager.create(lab.spec({ args: ["sleep", "100"] }));
    await assert.rejects(lab.manager.kill(id), new RegExp(`Container ${id} is not running`));
    await assert.rejects(lab.manager.pause(id), /is not running/);
    await assert.rejects(lab.manager.unpause(id), /is not paused/);
    assert.equal((await lab.manager.stop(id)).state, "created");
    assert.equal((await lab.manager.wait(id)).exitCode, 0);
    await lab.manager.start(id);
    await assert.rejects(lab.manager.kill(id, "FOO"), /Invalid signal: FOO/);
    await assert.rejects(lab.manager.remove(id), /You cannot remove a running container/);
    await lab.manager.pause(id);
    await assert.rejects(lab.manager.pause(id), /is already paused/);
    await assert.rejects(lab.manager.start(id), /cannot start a paused container, try unpause instead/);
    await assert.rejects(lab.manager.remove(id), /You cannot remove a paused container/);
    await lab.manager.remove(id, { force: true });
  });

  it("paused processes stand still, and go on", async () => {
    const { id } = await started("i=0; while :; do i=$((i+1)); echo $i > /tmp/n; sleep 0.01; done");
    const pid = lab.manager.get(id).pid;
    const count = async (): Promise<string> =>
      (await import("node:fs/promises")).readFile(`/proc/${pid}/root/tmp/n`, "latin1");
    await new Promise((resolve) => setTimeout(resolve, 100));
    await lab.manager.pause(id);
    const before = await count();
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.equal(await count(), before);
    assert.equal(state(id), "paused");
    await lab.reopen();
    assert.equal(state(id), "paused");
    await lab.manager.unpause(id);
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.notEqual(await count(), before);
    await lab.manager.remove(id, { force: true });
  });

  it("stop of a paused one: the signal, then it goes on to meet it", async () => {
    const { id } = await started("trap 'exit 7' TERM; while :; do sleep 0.01; done");
    await new Promise((resolve) => setTimeout(resolve, 100));
    await lab.manager.pause(id);
    const { events, off } = recorded(id);
    assert.equal((await lab.manager.stop(id)).exitCode, 7);
    assert.deepEqual(events, ["kill signal=15", "unpause", "die exitCode=7", "stop"]);
    await lab.manager.remove(id);
    off();
  });

  it("restart: kill, die, stop, start, restart; also of one that does not run", async () => {
    const { id, pid } = await started("exec sleep 100");
    const { events, off } = recorded(id);
    const again = await lab.manager.restart(id, { gracePeriodMs: 0 });
    assert.notEqual(again.pid, pid);
    assert.deepEqual(events.at(0), "kill signal=15");
    assert.deepEqual(events.slice(-4), ["die exitCode=137", "stop", "start", "restart"]);
    await lab.manager.kill(id);
    assert.equal((await lab.manager.restart(id)).state, "running");
    assert.equal(lab.manager.get(id).restartCount, 0);
    await lab.manager.remove(id, { force: true });
    off();
  });

  it("a start that was waiting for its turn at the end comes after the clean-up", async () => {
    const { id, pid } = await started("exec sleep 100");
    process.kill(pid, "SIGKILL");
    await Promise.all(
      Array.from({ length: 300 }, () => [lab.manager.update(id, {}), lab.manager.start(id)]).flat(),
    );
    await until(() => lab.manager.get(id).pid !== pid); // the end may also have come after all of them
    assert.equal((await lab.manager.start(id)).state, "running");
    await lab.manager.remove(id, { force: true });
  });

  it("wait knows three moments", async () => {
    const { id } = await lab.manager.create(lab.spec({ args: ["sh", "-c", "exit 4"] }));
    const next = lab.manager.wait(id, { condition: "next-exit" });
    const removed = lab.manager.wait(id, { condition: "removed" });
    await lab.manager.start(id);
    assert.equal((await next).exitCode, 4);
    assert.equal((await lab.manager.wait(id, { condition: "not-running" })).exitCode, 4);
    await lab.manager.remove(id);
    assert.equal((await removed).exitCode, 4);
  });

  it("rename keeps the container and frees the old name", async () => {
    const { id } = await lab.manager.create(lab.spec({ name: "before", args: ["true"] }));
    const other = await lab.manager.create(lab.spec({ args: ["true"] }));
    const { events, off } = recorded(id);
    await assert.rejects(lab.manager.rename(id, ""), /Neither old nor new names may be empty/);
    await assert.rejects(lab.manager.rename(id, "before"), /same name as its current name/);
    await assert.rejects(lab.manager.rename(id, other.name), /Conflict. The container name/);
    await lab.manager.rename(id, "/after");
    assert.equal(lab.manager.find("before"), undefined);
    assert.equal(lab.manager.get("after").id, id);
    assert.deepEqual(events, ["rename oldName=/before"]);
    await lab.reopen();
    assert.equal(lab.manager.get("after").id, id);
    off();
  });

  it("auto-remove takes it away with its anonymous volumes, and after a failed start", async () => {
    const mount = {
      kind: "volume" as const,
      name: "",
      target: "/v",
      readOnly: false,
      noCopy: false,
      subpath: "",
      driver: "",
      driverOptions: {},
      labels: {},
    };
    const { id } = await lab.manager.create(
      lab.spec({ args: ["sh", "-c", "exit 9"], autoRemove: true, mounts: [mount] }),
    );
    const removed = lab.manager.wait(id, { condition: "removed" });
    await lab.manager.start(id);
    assert.equal((await removed).exitCode, 9);
    assert.equal(lab.manager.find(id), undefined);
    assert.deepEqual(lab.manager.volumes.list(), []);
    const bad = await lab.manager.create(lab.spec({ args: ["/nosuch"], autoRemove: true }));
    await assert.rejects(lab.manager.start(bad.id), /exec: "\/nosuch"/);
    assert.equal(lab.manager.find(bad.id), undefined);
  });

  it("auto-remove is done late for one that ended while the daemon was away", async () => {
    const { id, pid } = await started("sleep 0.3", { autoRemove: true });
    await lab.manager.close();
    while (await alive(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
    await lab.reopen();
    await until(() => lab.manager.find(id) === undefined); // its monitor may only just be noting the end
  });

  it("restart policies: counted, with a growing pause, ended by hand", async () => {
    const restartPolicy = { name: "on-failure" as const, maximumRetryCount: 2 };
    const failing = await started("exit 3", { restartPolicy });
    await until(() => state(failing.id) === "exited");
    assert.equal(lab.manager.get(failing.id).restartCount, 2);
    assert.equal(lab.manager.get(failing.id).exitCode, 3);
    const always = await started("exit 0", { restartPolicy: { name: "always", maximumRetryCount: 0 } });
    await until(() => (lab.manager.get(always.id).restartCount ?? 0) >= 2);
    const { events, off } = recorded(always.id);
    await lab.manager.stop(always.id);
    const settled = events.length;
    assert.equal(state(always.id), "exited");
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(events.length, settled);
    assert.equal(events.at(-1), "stop");
    off();
    await lab.manager.remove(always.id);
  });

  it("a killed one with a policy stays ended; its own end restarts it", async () => {
    const restartPolicy = { name: "unless-stopped" as const, maximumRetryCount: 0 };
    const { id, pid } = await started("exec sleep 100", { restartPolicy });
    process.kill(pid, "SIGKILL");
    await until(() => state(id) === "running" && lab.manager.get(id).pid !== pid);
    await lab.manager.kill(id);
    assert.equal(state(id), "exited");
    await lab.reopen();
    assert.equal(state(id), "exited");
    await lab.manager.update(id, { restartPolicy: { name: "always", maximumRetryCount: 0 } });
    await lab.reopen();
    await until(() => state(id) === "running");
    await lab.manager.remove(id, { force: true });
  });

  it("limits change while it runs", async () => {
    const MIB = 1024 * 1024;
    const { id } = await started("exec sleep 100", {
      resources: { memoryBytes: 32 * MIB, swapBytes: 64 * MIB, nanoCpus: 0, pidsLimit: 0 },
    });
    await lab.manager.update(id, {
      resources: { memoryBytes: 96 * MIB, swapBytes: 192 * MIB, pidsLimit: 40, cpuShares: 512 },
    });
    const v2 = lab.cgroupVersion === 2;
    assert.equal(lab.cgroupFile(id, "memory", v2 ? "memory.max" : "memory.limit_in_bytes"), String(96 * MIB));
    assert.equal(lab.cgroupFile(id, "pids", "pids.max"), "40");
    await lab.manager.update(id, { resources: { memoryBytes: 16 * MIB, swapBytes: 32 * MIB } });
    assert.equal(lab.cgroupFile(id, "memory", v2 ? "memory.max" : "memory.limit_in_bytes"), String(16 * MIB));
    await lab.manager.remove(id, { force: true });
  });

  it("joins another container's network, with its hosts file, while that one runs", async () => {
    const other = await started("echo 10.1.2.3 marked >> /etc/hosts; exec sleep 100", {
      hostname: "shared-host",
    });
    const script =
      "until grep -q marked /etc/hosts; do sleep 0.02; done; test $(hostname) = shared-host || exit 1; " +
      "while ! test -e /go; do sleep 0.02; done; exit 5";
    const network = { kind: "container" as const, id: other.name };
    const { id } = await lab.manager.create(lab.spec({ args: ["sh", "-c", script], network }));
    const { pid } = await lab.manager.start(id);
    const { readlink, writeFile } = await import("node:fs/promises");
    assert.equal(await readlink(`/proc/${pid}/ns/net`), await readlink(`/proc/${other.pid}/ns/net`));
    await writeFile(`/proc/${pid}/root/go`, "");
    assert.equal((await lab.manager.wait(id)).exitCode, 5);
    await lab.manager.kill(other.id);
    await assert.rejects(lab.manager.start(id), /cannot join network of a non running container/);
  });

  it("who listens before the start is awaited", async () => {
    const order: string[] = [];
    const off = lab.manager.onBeforeStart(async (id) => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      order.push(`before ${id.slice(0, 4)}`);
    });
    const { id } = await lab.manager.create(lab.spec({ args: ["true"] }));
    await lab.manager.start(id);
    order.push("started");
    off();
    assert.deepEqual(order, [`before ${id.slice(0, 4)}`, "started"]);
    await lab.manager.wait(id);
  });

  it("health: a log of five results, none while paused", async () => {
    const healthcheck = {
      test: ["CMD-SHELL", "echo looked; test -e /tmp/ok"],
      intervalMs: 100,
      timeoutMs: 2_000,
      startPeriodMs: 0,
      startIntervalMs: 0,
      retries: 2,
    };
    const { id } = await started("exec sleep 100", { healthcheck });
    await until(() => lab.manager.get(id).health === "unhealthy");
    const { failingStreak = 0, healthLog = [] } = lab.manager.get(id);
    assert.ok(failingStreak >= 2);
    assert.deepEqual([healthLog.at(-1)?.exitCode, healthLog.at(-1)?.output], [1, "looked\n"]);
    await new Promise((resolve) => setTimeout(resolve, 900));
    assert.equal(lab.manager.get(id).healthLog?.length, 5);
    await lab.manager.pause(id);
    await new Promise((resolve) => setTimeout(resolve, 150));
    const last = lab.manager.get(id).healthLog?.at(-1)?.endMs;
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(lab.manager.get(id).healthLog?.at(-1)?.endMs, last);
    await lab.manager.remove(id, { force: true });
  });
});

async function alive(pid: number): Promise<boolean> {
  const { access } = await import("node:fs/promises");
  return access(`/proc/${pid}`).then(
    () => true,
    () => false,
  );
}
