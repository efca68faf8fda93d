/**
 * Agents and dispatchers over real gRPC on loopback: from an assigned task to a running one,
 * and through the failures in between.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { credentials } from "@grpc/grpc-js";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { systemClock } from "../../base/clock/system-clock.js";
import { LogsClient } from "../../proto/gen/skein/v1/logs.js";
import { Config, Network, Secret, Service } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, PublishMode, TaskState } from "../../proto/gen/skein/v1/types.js";
import { AgentLab, type LabManager } from "../support/agent-lab.js";

async function inLab(run: (lab: AgentLab) => Promise<void>): Promise<void> {
  const lab = new AgentLab();
  try {
    await run(lab);
  } finally {
    await lab.close();
  }
}

function nodeState(lab: AgentLab, id: string): NodeState | undefined {
  return lab.store.view((view) => view.get("node", id)?.status?.state);
}

test("a task assigned to a node runs there and its status comes back", () =>
  inLab(async (lab) => {
    await lab.begin(["n1"]);
    const manager = await lab.manager();
    const node = await lab.agent("n1", [manager]);
    await lab.assign({ id: "t1", nodeId: "n1" });
    const task = await lab.untilTask("t1", TaskState.RUNNING);
    assert.equal(task.status?.message, "started");
    assert.equal(task.gatewayAddress, "100.64.1.2");
    assert.equal(node.containers.ofTask("t1")?.state, "running");
    assert.equal(nodeState(lab, "n1"), NodeState.READY);
  }));

test("network resources are applied before the tasks that need them", () =>
  inLab(async (lab) => {
    await lab.begin(["n1", "n2"]);
    const manager = await lab.manager();
    await lab.store.update((tx) => {
      tx.create(
        "network",
        Network.fromPartial({ id: "net1", vni: 4097, spec: { annotations: { name: "front" } } }),
      );
      tx.create(
        "service",
        Service.fromPartial({
          id: "s1",
          spec: { annotations: { name: "web" }, task: { networks: [{ target: "net1" }] } },
        }),
      );
    });
    await lab.assign({
      id: "t1",
      nodeId: "n1",
      networks: [{ networkId: "net1", addresses: ["10.0.0.3/24"] }],
    });
    await lab.assign({
      id: "t2",
      nodeId: "n2",
      slot: 2,
      networks: [{ networkId: "net1", addresses: ["10.0.0.4/24"] }],
    });
    const one = await lab.agent("n1", [manager]);
    const two = await lab.agent("n2", [manager]);
    await lab.untilTask("t1", TaskState.RUNNING);
    await lab.untilTask("t2", TaskState.RUNNING);
    const applied = one.network.trace.findIndex((line) => line.startsWith("apply"));
    assert.ok(applied >= 0 && applied < one.network.trace.indexOf("attach t1"), one.network.trace.join("; "));
    for (const { network } of [one, two]) {
      await lab.until(() => {
        const states = ["t1", "t2"].map((id) => {
          const resource = network.resources.get(`RESOURCE_KIND_ENDPOINT/${id}`)?.resource;
          return resource?.$case === "endpoint" ? resource.value.state : "";
        });
        return states.every((state) => state === "ENDPOINT_STATE_READY");
      }, "both endpoints ready on both nodes");
    }
  }));

test("a task desired to shut down stops, and its container goes when the task does", () =>
  inLab(async (lab) => {
    await lab.begin(["n1"]);
    const manager = await lab.manager();
    const node = await lab.agent("n1", [manager]);
    await lab.assign({ id: "t1", nodeId: "n1" });
    await lab.untilTask("t1", TaskState.RUNNING);
    await lab.desire("t1", TaskState.SHUTDOWN);
    const task = await lab.untilTask("t1", TaskState.SHUTDOWN);
    assert.equal(task.status?.container?.exitCode, 143);
    assert.equal(node.containers.ofTask("t1")?.state, "exited");
    await lab.store.update((tx) => tx.remove("task", "t1"));
    await lab.until(() => node.containers.ofTask("t1") === undefined, "the container gone");
    assert.equal(node.network.sandboxes.size, 0);
  }));

test("a task desired ready waits before it starts", () =>
  inLab(async (lab) => {
    await lab.begin(["n1"]);
    const manager = await lab.manager();
    const node = await lab.agent("n1", [manager]);
    await lab.assign({ id: "t1", nodeId: "n1", desiredState: TaskState.READY });
    await lab.untilTask("t1", TaskState.READY);
    assert.equal(node.containers.ofTask("t1")?.state, "created");
    await lab.desire("t1", TaskState.RUNNING);
    await lab.untilTask("t1", TaskState.RUNNING);
  }));

test("a task that cannot run is rejected with the words of whoever refused", () =>
  inLab(async (lab) => {
    await lab.begin(["n1"]);
    const manager = await lab.manager();
    const node = await lab.agent("n1", [manager]);
    const pullAuth = Buffer.from('{"username":"ann","password":"x"}').toString("base64");
    await lab.assign({ id: "t1", nodeId: "n1", spec: { container: { image: "none:1", pullAuth } } });
    const missing = await lab.untilTask("t1", TaskState.REJECTED);
    assert.equal(missing.status?.cause, "image-not-found");
    assert.match(missing.status?.err ?? "", /manifest unknown/);
    assert.equal(node.images.pulls[0]?.auth?.username, "ann");

    const mounts = [{ type: "bind", source: "/gone", target: "/data" }];
    await lab.assign({ id: "t2", nodeId: "n1", spec: { container: { image: "app:1", mounts } } });
    const mount = await lab.untilTask("t2", TaskState.REJECTED);
    assert.equal(mount.status?.cause, "mount-missing");
    assert.match(mount.status?.err ?? "", /bind source path does not exist: \/gone/);

    const ports = [{ publishMode: PublishMode.HOST, publishedPort: 8080, targetPort: 80 }];
    await lab.assign({ id: "t3", nodeId: "n1", endpoint: { ports } });
    const first = await lab.untilTask("t3", TaskState.RUNNING);
    assert.equal(first.status?.hostPorts[0]?.publishedPort, 8080);
    await lab.assign({ id: "t4", nodeId: "n1", slot: 2, endpoint: { ports } });
    const taken = await lab.untilTask("t4", TaskState.REJECTED);
    assert.equal(taken.status?.cause, "port-in-use");
  }));

test("how a container ends becomes how its task ends", () =>
  inLab(async (lab) => {
    await lab.begin(["n1"]);
    const manager = await lab.manager();
    const { containers } = await lab.agent("n1", [manager]);
    const ends = [
      { id: "t1", end: { exitCode: 0 }, state: TaskState.COMPLETE, cause: "", err: "" },
      {
        id: "t2",
        end: { exitCode: 1 },
        state: TaskState.FAILED,
        cause: "exit-nonzero",
        err: "task: non-zero exit (1)",
      },
      {
        id: "t3",
        end: { exitCode: 137, oomKilled: true },
        state: TaskState.FAILED,
        cause: "oom",
        err: "task: out of memory, killed by the kernel (exit 137)",
      },
    ];
    for (const { id, end, state, cause, err } of ends) {
      await lab.assign({ id, nodeId: "n1" });
      await lab.untilTask(id, TaskState.RUNNING);
      containers.exit(containers.ofTask(id)?.id ?? "", end);
      const task = await lab.untilTask(id, state);
      assert.deepEqual([task.status?.cause, task.status?.err], [cause, err]);
      assert.equal(task.status?.container?.exitCode, end.exitCode);
    }
    containers.failStart = new Error('exec: "nope": executable file not found in $PATH');
    await lab.assign({ id: "t4", nodeId: "n1" });
    const task = await lab.untilTask("t4", TaskState.FAILED);
    assert.match(task.status?.err ?? "", /executable file not found/);
  }));

test("a health check gates the start, and its failure ends the task", () =>
  inLab(async (lab) => {
    await lab.begin(["n1"]);
    const manager = await lab.manager();
    const { containers } = await lab.agent("n1", [manager]);
    const healthcheck = { test: ["CMD", "true"], intervalMs: 1_000 };
    await lab.assign({ id: "t1", nodeId: "n1", spec: { container: { image: "app:1", healthcheck } } });
    const record = await lab.until(() => {
      const found = containers.ofTask("t1");
      return found?.state === "running" ? found : undefined;
    }, "the container running");
    await lab.untilTask("t1", TaskState.STARTING);
    containers.setHealth(record.id, "healthy");
    const task = await lab.untilTask("t1", TaskState.RUNNING);
    assert.equal(task.status?.health, "healthy");
    containers.setHealth(record.id, "unhealthy");
    const failed = await lab.untilTask("t1", TaskState.FAILED);
    assert.equal(failed.status?.cause, "unhealthy");
    assert.equal(containers.ofTask("t1")?.state, "exited");
  }));

test("secrets and configs reach the container and nothing that is stored", () =>
  inLab(async (lab) => {
    await lab.begin(["n1"]);
    const manager = await lab.manager();
    await lab.store.update((tx) => {
      tx.create("secret", Secret.fromPartial({ id: "sec1", data: Buffer.from("hush") }));
      tx.create(
        "config",
        Config.fromPartial({ id: "cfg1", data: Buffer.from("{{.Task.Slot}}"), templateDriver: "golang" }),
      );
    });
    const node = await lab.agent("n1", [manager]);
    const container = {
      image: "app:1",
      pullAuth: "e30=",
      hostname: "{{.Service.Name}}-{{.Task.Slot}}",
      env: ["ON={{.Node.Hostname}}"],
      secrets: [
        { secretId: "sec1", secretName: "key", file: { name: "key", uid: "5", gid: "6", mode: 0o400 } },
      ],
      configs: [{ configId: "cfg1", configName: "conf", file: { name: "conf" } }],
    };
    await lab.assign({ id: "t1", nodeId: "n1", slot: 3, spec: { container } });
    await lab.untilTask("t1", TaskState.RUNNING);
    const record = node.containers.ofTask("t1");
    assert.equal(record?.name, "web.3.t1");
    assert.equal(record?.specification.hostname, "web-3");
    assert.deepEqual(record?.specification.env, ["ON=host-n1"]);
    const files = (node.containers.world.files.get(record?.id ?? "") ?? []).map((file) => ({
      ...file,
      data: Buffer.from(file.data).toString(),
    }));
    assert.deepEqual(files, [
      { target: "/run/secrets/key", data: "hush", uid: 5, gid: 6, mode: 0o400 },
      { target: "/conf", data: "3", uid: 0, gid: 0, mode: 0o444 },
    ]);
    const saved = JSON.stringify(await node.state.load());
    assert.ok(saved.includes("t1") && !saved.includes("hush") && !saved.includes("e30="), saved);
  }));

test("an agent that restarts adopts what runs, with and without a manager", () =>
  inLab(async (lab) => {
    await lab.begin(["n1"]);
    const manager = await lab.manager();
    const before = await lab.agent("n1", [manager]);
    await lab.assign({ id: "t1", nodeId: "n1" });
    await lab.untilTask("t1", TaskState.RUNNING);
    await before.agent.close();
    await lab.until(() => nodeState(lab, "n1") === NodeState.DISCONNECTED, "the goodbye");
    await before.containers.close();
    await manager.kill();

    const leftovers = { world: before.containers.world, state: before.state, network: before.network };
    const after = await lab.agent("n1", [manager], leftovers);
    const record = after.containers.ofTask("t1");
    assert.equal(record?.state, "running");
    assert.equal(after.containers.world.starts.get(record?.id ?? ""), 1);
    // Still driven without any manager: its end is noticed, kept, and told when there is one again.
    after.containers.exit(record?.id ?? "", { exitCode: 7 });
    const next = await lab.manager();
    assert.equal(
      lab.store.view((view) => view.get("task", "t1")?.status?.state),
      TaskState.RUNNING,
    );
    await after.agent.close();
    const last = await lab.agent("n1", [next], leftovers);
    const task = await lab.untilTask("t1", TaskState.FAILED);
    assert.equal(task.status?.err, "task: non-zero exit (7)");
    assert.equal(last.containers.world.starts.get(record?.id ?? ""), 1);
    await lab.until(() => nodeState(lab, "n1") === NodeState.READY, "the node ready again");
  }));

test("containers of tasks that went while the agent was away are removed", () =>
  inLab(async (lab) => {
    await lab.begin(["n1"]);
    const manager = await lab.manager();
    const before = await lab.agent("n1", [manager]);
    await lab.assign({ id: "t1", nodeId: "n1" });
    await lab.untilTask("t1", TaskState.RUNNING);
    await before.agent.close();
    await before.containers.close();
    await lab.store.update((tx) => tx.remove("task", "t1"));
    const leftovers = { world: before.containers.world, network: before.network }; // the state was lost, too
    const after = await lab.agent("n1", [manager], leftovers);
    await lab.until(() => after.containers.list().length === 0, "the stray container removed");
    assert.equal(after.network.sandboxes.size, 0);
  }));

test("when its manager dies an agent turns to another, and no status is lost", () =>
  inLab(async (lab) => {
    await lab.begin(["n1"]);
    const managers: readonly LabManager[] = [await lab.manager(), await lab.manager()];
    const node = await lab.agent("n1", managers);
    const first = await lab.until(() => node.agent.manager, "a session");
    const leader = lab.leader;
    lab.leader = undefined; // an election: statuses reach the manager, and no further
    await lab.assign({ id: "t1", nodeId: "n1" });
    await lab.until(() => node.containers.ofTask("t1")?.state === "running", "the container running");
    assert.equal(
      lab.store.view((view) => view.get("task", "t1")?.status?.state),
      TaskState.ASSIGNED,
    );
    await managers.find((manager) => manager.address === first)?.kill();
    const second = await lab.until(
      () => (node.agent.manager !== first ? node.agent.manager : undefined),
      "another manager",
    );
    assert.ok(managers.some((manager) => manager.address === second));
    lab.leader = leader;
    await lab.untilTask("t1", TaskState.RUNNING);
    assert.equal(node.containers.world.starts.size, 1);
  }));

test("a node that leaves stops what it has and takes nothing on", () =>
  inLab(async (lab) => {
    await lab.begin(["n1"]);
    const manager = await lab.manager();
    const node = await lab.agent("n1", [manager]);
    await lab.assign({ id: "t1", nodeId: "n1" });
    await lab.untilTask("t1", TaskState.RUNNING);
    const removed = node.agent.removeTasks();
    await lab.assign({ id: "t2", nodeId: "n1", slot: 2 });
    await removed;
    await node.agent.close({ leaving: true });
    assert.deepEqual(node.containers.list(), []);
    assert.equal(node.network.sandboxes.size, 0);
    await lab.untilTask("t1", TaskState.SHUTDOWN);
    assert.equal(
      lab.store.view((view) => view.get("task", "t2")?.status?.state),
      TaskState.ASSIGNED,
    );
  }));

test("a newer session of a node ends the older one", () =>
  inLab(async (lab) => {
    await lab.begin(["n1"]);
    const manager = await lab.manager();
    const older = await lab.agent("n1", [manager]);
    await lab.until(() => older.agent.manager, "the first session");
    await older.agent.close();
    await lab.agent("n1", [manager]);
    await lab.until(() => manager.dispatcher.sessionCount === 1, "one session");
  }));

test("a node that falls silent is down after the bound, and ready again when it is back", async () => {
  const clock = new ManualClock();
  const lab = new AgentLab({ clock });
  try {
    await lab.begin(["n1"]);
    const manager = await lab.manager();
    const first = await lab.agent("n1", [manager]);
    await lab.assign({ id: "t1", nodeId: "n1" });
    await lab.untilTask("t1", TaskState.RUNNING);
    for (let second = 0; second < 8; second++) await passSecond(clock);
    assert.equal(nodeState(lab, "n1"), NodeState.READY);

    await first.agent.close({ silent: true }); // as when the network between them is cut
    await first.containers.close();
    for (let second = 0; second < 2; second++) await passSecond(clock);
    assert.equal(nodeState(lab, "n1"), NodeState.READY);
    for (let second = 0; second < 2; second++) await passSecond(clock);
    await lab.until(
      () => nodeState(lab, "n1") === NodeState.DOWN,
      "the node down after 4 periods at the latest",
    );
    assert.equal(first.containers.ofTask("t1")?.state, "running");

    const leftovers = { world: first.containers.world, state: first.state, network: first.network };
    const second = await lab.agent("n1", [manager], leftovers);
    await lab.until(() => nodeState(lab, "n1") === NodeState.READY, "the node ready again");
    assert.equal(second.containers.world.starts.size, 1);
  } finally {
    await lab.close();
  }
});

/** A second passes, and what it set off crosses the loopback. */
async function passSecond(clock: ManualClock): Promise<void> {
  clock.advance(1_000);
  await systemClock.sleep(25);
}

interface Heard {
  readonly lines: string[];
  readonly warnings: string[];
  readonly ended: Promise<void>;
  cancel(): void;
}

function subscribe(lab: AgentLab, manager: LabManager, options: { follow: boolean; tail?: number }): Heard {
  const client = new LogsClient(manager.address, credentials.createInsecure());
  lab.scope.defer(() => client.close());
  const call = client.subscribeLogs({
    selector: { serviceIds: ["s1"], taskIds: [] },
    options: { sinceMs: 0, untilMs: 0, stdout: true, stderr: true, details: false, tail: -1, ...options },
  });
  const lines: string[] = [];
  const warnings: string[] = [];
  call.on("data", (batch) => {
    for (const message of batch.messages)
      lines.push(`${message.nodeId} ${message.taskId} ${Buffer.from(message.data).toString()}`);
    if (batch.warning !== "") warnings.push(batch.warning);
  });
  const ended = new Promise<void>((resolve) => {
    call.on("end", resolve);
    call.on("error", () => resolve());
  });
  return { lines, warnings, ended, cancel: () => call.cancel() };
}

test("logs of a service come from all its nodes to whichever manager is asked, and end", () =>
  inLab(async (lab) => {
    await lab.begin(["n1", "n2", "n3"]);
    const managers = [await lab.manager(), await lab.manager()] as const;
    await lab.store.update((tx) => tx.create("service", Service.fromPartial({ id: "s1" })));
    const one = await lab.agent("n1", managers);
    const two = await lab.agent("n2", managers);
    await lab.assign({ id: "t1", nodeId: "n1" });
    await lab.assign({ id: "t2", nodeId: "n2", slot: 2 });
    for (const [node, id] of [
      [one, "t1"],
      [two, "t2"],
    ] as const) {
      await lab.untilTask(id, TaskState.RUNNING);
      const container = node.containers.ofTask(id)?.id ?? "";
      node.containers.writeLog(container, "first\n");
      node.containers.writeLog(container, "second\n");
    }
    for (const manager of managers) {
      const heard = subscribe(lab, manager, { follow: false, tail: 1 });
      await heard.ended;
      assert.deepEqual(heard.lines.sort(), ["n1 t1 second\n", "n2 t2 second\n"]);
      assert.deepEqual(heard.warnings, []);
    }
    // A task on a node that is down: the rest comes, and what is missing is said.
    await lab.store.update((tx) => {
      const node = tx.get("node", "n3");
      if (node !== undefined)
        tx.update("node", { ...node, status: { state: NodeState.DOWN, message: "", address: "" } });
    });
    await lab.assign({ id: "t3", nodeId: "n3", slot: 3 });
    const heard = subscribe(lab, managers[0], { follow: false });
    await heard.ended;
    assert.equal(heard.lines.length, 4);
    assert.deepEqual(heard.warnings, ["logs of web.3 are missing: node n3 is down"]);
  }));

test("logs that are followed show new lines and new tasks, and say when a node goes", () =>
  inLab(async (lab) => {
    await lab.begin(["n1", "n2"]);
    const manager = await lab.manager();
    await lab.store.update((tx) => tx.create("service", Service.fromPartial({ id: "s1" })));
    const one = await lab.agent("n1", [manager]);
    const two = await lab.agent("n2", [manager]);
    await lab.assign({ id: "t1", nodeId: "n1" });
    await lab.untilTask("t1", TaskState.RUNNING);
    const heard = subscribe(lab, manager, { follow: true });
    one.containers.writeLog(one.containers.ofTask("t1")?.id ?? "", "early\n");
    await lab.until(() => heard.lines.includes("n1 t1 early\n"), "the first line");
    one.containers.writeLog(one.containers.ofTask("t1")?.id ?? "", "later\n");
    await lab.until(() => heard.lines.includes("n1 t1 later\n"), "a line written later");
    await lab.assign({ id: "t2", nodeId: "n2", slot: 2 });
    await lab.assign({ id: "t3", nodeId: "n1", slot: 3 });
    await lab.untilTask("t2", TaskState.RUNNING);
    await lab.untilTask("t3", TaskState.RUNNING);
    two.containers.writeLog(two.containers.ofTask("t2")?.id ?? "", "there\n");
    one.containers.writeLog(one.containers.ofTask("t3")?.id ?? "", "here\n");
    await lab.until(() => heard.lines.includes("n2 t2 there\n"), "a line of a new task on another node");
    await lab.until(() => heard.lines.includes("n1 t3 here\n"), "a line of a new task on the same node");
    await two.agent.close();
    await lab.until(() => heard.warnings.length > 0, "a word about the node that went");
    assert.match(heard.warnings[0] ?? "", /logs of web\.2 are (incomplete|missing): node host-n2/);
    heard.cancel();
    await heard.ended;
  }));
