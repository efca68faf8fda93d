/** Ends whose moments cannot be hit from outside: runtime, records and clock are made up. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { FailedPreconditionError } from "../../base/errors/errors.js";
import { newRecord } from "./container-admission.js";
import { ContainerEnds } from "./container-ends.js";
import { ContainerEntry } from "./container-entry.js";
import { ContainerEvents } from "./container-events.js";
import { defaultSpecification } from "./container-lab.js";
import type { ContainerState } from "./container-manager.js";
import type { ContainerParts } from "./container-parts.js";
import type { ContainerRemoval } from "./container-removal.js";
import type { ContainerRuns } from "./container-runs.js";

function ends(state: ContainerState, parts: { onSave?: () => void; thaw?: (entry: ContainerEntry) => void }) {
  const clock = new ManualClock();
  const { files: _files, ...specification } = defaultSpecification("c");
  const restartPolicy = { name: "always" as const, maximumRetryCount: 0 };
  const id = "c".repeat(64);
  const record = newRecord({
    id,
    specification: { ...specification, restartPolicy },
    imageId: "",
    createdMs: 0,
  });
  const process = { pid: 2 ** 22 + 1, startTicks: 1 };
  const entry = new ContainerEntry({ record: { ...record, state }, process, files: [], volumes: [] });
  const all = {
    init: { clock },
    events: new ContainerEvents(clock),
    inBackground: () => undefined,
    state: {
      save: async () => parts.onSave?.(),
    },
    runtime: {
      kill: () => undefined,
      setFrozen: async () => parts.thaw?.(entry),
    },
  } as unknown as ContainerParts; // what a stop needs of them
  return { clock, entry, ends: new ContainerEnds(all, {} as ContainerRuns, {} as ContainerRemoval) };
}

it("the pause before a restart cannot run out while a stop is being noted", async () => {
  for (const how of ["stop", "kill"] as const) {
    let restarted = false;
    const lab = ends("restarting", { onSave: () => lab.clock.advance(1_000) });
    lab.entry.restart = lab.clock.setTimer(100, () => {
      restarted = true;
    });
    await (how === "stop" ? lab.ends.stop(lab.entry, {}) : lab.ends.kill(lab.entry, "SIGKILL"));
    assert.equal(restarted, false, how);
    assert.equal(lab.entry.stored.record.state, "exited");
  }
});

it("a paused one that its signal ends may take its group with it before it is thawed", async () => {
  const lab = ends("paused", {
    thaw: (entry) => {
      entry.exited({ id: entry.id, exitCode: 137, finishedMs: 1, oomKilled: false });
      entry.tellWaiters("exit");
      throw new FailedPreconditionError("the container's control group is gone");
    },
  });
  assert.equal((await lab.ends.stop(lab.entry, {})).exitCode, 137);
});
