/**
 * The executor on real containers (crun, conmon), with a network in memory.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../base/log/logger.js";
import { Secret, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeDescription } from "../../proto/gen/skein/v1/types.js";
import { type ContainerLab, openContainerLab } from "../containers/container-lab.js";
import { type ContainerExecutor, createContainerExecutor } from "./container-executor.js";
import type { Controller } from "./controller.js";
import { TaskFailureError } from "./failure-cause.js";
import { pathExists } from "./fs-path-exists.js";
import { MemoryImageStore } from "./memory-image-store.js";
import { MemoryNetworkPlane } from "./memory-network-plane.js";

const { signal } = new AbortController();
type ContainerPart = NonNullable<NonNullable<Parameters<typeof Task.fromPartial>[0]["spec"]>["container"]>;

function executorOn(lab: ContainerLab): ContainerExecutor {
  return createContainerExecutor({
    containers: lab.manager,
    images: new MemoryImageStore({ local: ["busybox"] }),
    network: new MemoryNetworkPlane(),
    describe: () => Promise.resolve(NodeDescription.fromPartial({})),
    node: () => ({ id: "n1", hostname: "host", os: "linux", architecture: "amd64" }),
    pathExists,
    log: silentLogger,
  });
}

function controllerOf(executor: ContainerExecutor, id: string, container: ContainerPart): Controller {
  const task = Task.fromPartial({
    id,
    nodeId: "n1",
    slot: 1,
    serviceAnnotations: { name: "web" },
    spec: {
      networks: [{ target: "none" }],
      container: { image: "busybox", stopGracePeriodMs: 2_000, ...container },
    },
  });
  const secret = Secret.fromPartial({ id: "sec", data: Buffer.from("hush") });
  return executor.controller(task, { secret: () => secret, config: () => undefined });
}

async function text(controller: Controller): Promise<string> {
  let out = "";
  const options = { follow: false, tail: -1, sinceMs: 0, stdout: true, stderr: true };
  for await (const record of controller.logs(options)) out += Buffer.from(record.data).toString("utf8");
  return out;
}

test("tasks on real containers: run, exit, log, stop, be adopted and removed", async () => {
  const lab = await openContainerLab();
  try {
    const executor = executorOn(lab);
    const args = ["sh", "-c", "echo $WHO $(cat /run/secrets/key); exit 3"];
    const secrets = [{ secretId: "sec", secretName: "key", file: { name: "key" } }];
    const short = controllerOf(executor, "t1", { args, env: ["WHO={{.Node.Hostname}}"], secrets });
    await short.prepare({ signal });
    await short.start({ signal });
    const failure = await short.wait({ signal });
    assert.deepEqual(failure, { cause: "exit-nonzero", message: "task: non-zero exit (3)" });
    assert.equal(short.status()?.exitCode, 3);
    assert.equal(await text(short), "host hush\n");

    const bad = controllerOf(executor, "t2", { args: ["/nope"] });
    await bad.prepare({ signal });
    await assert.rejects(bad.start({ signal }), /nope/);
    const gone = controllerOf(executor, "t3", {
      mounts: [{ type: "bind", source: "/not/there", target: "/x" }],
    });
    await assert.rejects(
      gone.prepare({ signal }),
      (error) => error instanceof TaskFailureError && error.failureCause === "mount-missing",
    );

    const healthcheck = { test: ["CMD", "true"], intervalMs: 50, timeoutMs: 1_000, retries: 1 };
    const long = controllerOf(executor, "t4", {
      args: ["sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done"],
      healthcheck,
    });
    await long.prepare({ signal });
    await long.start({ signal });
    assert.equal(long.health(), "healthy");
    const pid = long.status()?.pid;
    executor.close();
    await lab.reopen(); // the daemon was restarted

    const next = executorOn(lab);
    const adopted = controllerOf(next, "t4", {});
    await adopted.prepare({ signal });
    await adopted.start({ signal });
    assert.equal(adopted.status()?.pid, pid);
    await adopted.shutdown({ signal });
    assert.equal(adopted.status()?.exitCode, 5);
    await adopted.remove({ signal });
    await adopted.remove({ signal });
    assert.equal(adopted.status(), undefined);
    await next.retain(new Set());
    assert.deepEqual(lab.manager.list(), []);
    next.close();
  } finally {
    await lab.close();
  }
});
