/** Life of real containers: crun and conmon, busybox as the image. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type ContainerLab, openContainerLab } from "./container-lab.js";
import type { ContainerEvent } from "./container-manager.js";

describe("container life cycle", () => {
  let lab: ContainerLab;
  before(async () => {
    lab = await openContainerLab();
  });
  after(() => lab.close());

  it("a container that ends by itself reports its exit code once", async () => {
    const events: string[] = [];
    const off = lab.manager.onEvent((event: ContainerEvent) => events.push(event.kind));
    const created = await lab.manager.create(lab.spec({ args: ["sh", "-c", "exit 42"] }));
    assert.equal(created.state, "created");
    const started = await lab.manager.start(created.id);
    assert.ok(started.pid > 0);
    const ended = await lab.manager.wait(created.id);
    assert.equal(ended.exitCode, 42);
    assert.equal(ended.state, "exited");
    assert.ok(ended.finishedMs >= ended.startedMs);
    await lab.manager.remove(created.id);
    assert.deepEqual(events, ["create", "start", "die", "destroy"]);
    off();
  });

  it("stop kills what ignores its signal after the grace period", async () => {
    const { id } = await lab.manager.create(
      lab.spec({ args: ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"] }),
    );
    await lab.manager.start(id);
    const ended = await lab.manager.stop(id, { gracePeriodMs: 200 });
    assert.equal(ended.exitCode, 137);
    await lab.manager.remove(id);
  });

  it("stop lets a process end in its own way", async () => {
    const { id } = await lab.manager.create(
      lab.spec({ args: ["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.02; done"] }),
    );
    await lab.manager.start(id);
    // the shell has no way to tell that its trap is set
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal((await lab.manager.stop(id)).exitCode, 7);
    await lab.manager.remove(id);
  });
});
