/** Limits and policies changed later, and what is refused. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { newRecord } from "./container-admission.js";
import { defaultSpecification } from "./container-lab.js";
import type { ContainerRecord, ContainerResources, ContainerSpecification } from "./container-manager.js";
import { updatedSpecification } from "./container-update.js";

const MIB = 1024 * 1024;
const NONE: ContainerResources = { memoryBytes: 0, swapBytes: undefined, nanoCpus: 0, pidsLimit: 0 };

function record(changes: Partial<ContainerSpecification> = {}): ContainerRecord {
  const { files: _files, ...specification } = { ...defaultSpecification("c"), ...changes };
  return newRecord({ id: "i".repeat(64), specification, imageId: "sha256:x", createdMs: 1 });
}

describe("update of a container", () => {
  it("changes what is given and keeps the rest", () => {
    const before = record({ resources: { ...NONE, memoryBytes: 50 * MIB, pidsLimit: 10 } });
    const { resources } = updatedSpecification(before, { resources: { nanoCpus: 5e8, memoryBytes: 0 } });
    assert.deepEqual(resources, { ...NONE, memoryBytes: 50 * MIB, pidsLimit: 10, nanoCpus: 5e8 });
  });

  it("memory may not pass the limit of memory and swap", () => {
    const before = record({ resources: { ...NONE, memoryBytes: 20 * MIB, swapBytes: 40 * MIB } });
    const above = { resources: { memoryBytes: 50 * MIB } };
    assert.throws(
      () => updatedSpecification(before, above),
      /Cannot update container i+: Memory limit should/,
    );
    const both = { resources: { memoryBytes: 50 * MIB, swapBytes: 100 * MIB } };
    assert.equal(updatedSpecification(before, both).resources.memoryBytes, 50 * MIB);
    assert.throws(
      () => updatedSpecification(before, { resources: { memoryBytes: 1_000 } }),
      /Minimum memory limit allowed is 6MB/,
    );
  });

  it("a number of CPUs and a quota exclude each other", () => {
    const whole = record({ resources: { ...NONE, nanoCpus: 1e9 } });
    assert.throws(
      () => updatedSpecification(whole, { resources: { cpuQuota: 50_000 } }),
      /CPU Quota cannot be updated as NanoCPUs has already been set/,
    );
    const quota = record({ resources: { ...NONE, cpuQuota: 50_000 } });
    assert.throws(
      () => updatedSpecification(quota, { resources: { nanoCpus: 1e9 } }),
      /Nano CPUs cannot be updated/,
    );
  });

  it("an auto-removed container takes no restart policy", () => {
    const change = { restartPolicy: { name: "always" as const, maximumRetryCount: 0 } };
    assert.throws(
      () => updatedSpecification(record({ autoRemove: true }), change),
      /Restart policy cannot be updated because AutoRemove is enabled for the container/,
    );
    assert.deepEqual(updatedSpecification(record(), change).restartPolicy, change.restartPolicy);
  });

  it("one on its way out takes no update", () => {
    assert.throws(() => updatedSpecification({ ...record(), state: "dead" }, {}), /marked for removal/);
  });

  it("Docker's configuration is merged for inspect", () => {
    const before = record({ hostConfig: { Memory: 1, CpuShares: 2 } });
    assert.deepEqual(updatedSpecification(before, { hostConfig: { Memory: 3 } }).hostConfig, {
      Memory: 3,
      CpuShares: 2,
    });
  });
});
