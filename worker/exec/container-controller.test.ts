/** One task on containers, images and a network in memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { Secret, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeDescription } from "../../proto/gen/skein/v1/types.js";
import { createContainerExecutor } from "./container-executor.js";
import type { Controller, TaskDependencies } from "./controller.js";
import { MemoryContainerManager } from "./memory-container-manager.js";
import { MemoryImageStore } from "./memory-image-store.js";
import { MemoryNetworkPlane } from "./memory-network-plane.js";

type ContainerPart = NonNullable<NonNullable<Parameters<typeof Task.fromPartial>[0]["spec"]>["container"]>;

const { signal } = new AbortController();

function world(container: ContainerPart, dependencies: TaskDependencies) {
  const containers = new MemoryContainerManager({ clock: new ManualClock(), random: new SeededRandom("c") });
  const images = new MemoryImageStore({ registry: ["app:1"] });
  const executor = createContainerExecutor({
    ...{ containers, images, network: new MemoryNetworkPlane(), log: silentLogger },
    describe: () => Promise.resolve(NodeDescription.fromPartial({})),
    node: () => ({ id: "n1", hostname: "host", os: "linux", architecture: "amd64" }),
    pathExists: () => Promise.resolve(true),
  });
  const task = Task.fromPartial({
    id: "t1",
    nodeId: "n1",
    spec: { container: { image: "app:1", ...container } },
  });
  const controller: Controller = executor.controller(task, dependencies);
  return { containers, images, controller };
}

test("what a driver gave is not lost to a session that begins while the image is pulled", async () => {
  const given = (data: string): Secret =>
    Secret.fromPartial({ id: "db@1.t1", driverName: "vault", data: Buffer.from(data) });
  let secret = given("s3cret");
  const { containers, images, controller } = world(
    { secrets: [{ secretId: "db", secretName: "password" }] },
    { secret: (id) => (id === secret.id ? secret : undefined), config: () => undefined },
  );
  const pull = images.pull.bind(images);
  images.pull = (...asked) => {
    secret = given(""); // the new session tells it without data first
    return pull(...asked);
  };
  await controller.prepare({ signal });
  const [files] = containers.world.files.values();
  assert.deepEqual(
    files?.map(({ data }) => Buffer.from(data).toString()),
    ["s3cret"],
  );
});

test("a task with hooks is not begun where none are run: it could not be stopped", async () => {
  const { controller, containers } = world(
    { host: { preStop: [{ command: ["sync"] }] } },
    { secret: () => undefined, config: () => undefined },
  );
  await assert.rejects(controller.prepare({ signal }), /this node runs no hooks of tasks/);
  assert.deepEqual(containers.list(), []);
});
