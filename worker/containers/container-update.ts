/**
 * New limits and restart policy laid over those a container has.
 * Pure. Rules and words are Docker's: a memory limit stays below the limit of memory and swap, an absolute
 * count of CPUs and a quota exclude each other, an auto-removed container takes no restart policy.
 */
import { FailedPreconditionError, InvalidArgumentError } from "../../base/errors/errors.js";
import type { KeptSpecification } from "./container-admission.js";
import type { ContainerRecord, ContainerResources, ContainerUpdate } from "./container-manager.js";
import { admitRestartPolicy } from "./container-restarts.js";

const MEMORY_BYTES_MIN = 6 * 1024 * 1024;

/** @throws {InvalidArgumentError} impossible by itself; {FailedPreconditionError} impossible for this container. */
export function updatedSpecification(record: ContainerRecord, change: ContainerUpdate): KeptSpecification {
  const { specification } = record;
  if (record.state === "removing" || record.state === "dead") {
    throw refused(record, 'Container is marked for removal and cannot be "update".');
  }
  const policy = change.restartPolicy;
  if (policy !== undefined) {
    admitRestartPolicy(policy, false);
    if (specification.autoRemove === true && policy.name !== "no") {
      throw refused(
        record,
        "Restart policy cannot be updated because AutoRemove is enabled for the container",
      );
    }
  }
  const resources = updatedResources(record, change.resources ?? {});
  const hostConfig = { ...specification.hostConfig, ...change.hostConfig };
  return {
    ...specification,
    resources,
    ...(policy === undefined ? {} : { restartPolicy: policy }),
    ...(change.hostConfig === undefined ? {} : { hostConfig }),
  };
}

function updatedResources(record: ContainerRecord, change: Partial<ContainerResources>): ContainerResources {
  const before = record.specification.resources;
  const { memoryBytes = 0, nanoCpus = 0 } = change;
  if (memoryBytes !== 0 && memoryBytes < MEMORY_BYTES_MIN) {
    throw new InvalidArgumentError("Minimum memory limit allowed is 6MB");
  }
  const sharesQuota = (change.cpuQuota ?? 0) > 0 || (change.cpuPeriod ?? 0) > 0;
  if (sharesQuota && before.nanoCpus > 0 && nanoCpus === 0) {
    const what = (change.cpuQuota ?? 0) > 0 ? "Quota" : "Period";
    throw refused(
      record,
      `Conflicting options: CPU ${what} cannot be updated as NanoCPUs has already been set`,
    );
  }
  const hasPeriod = (before.cpuPeriod ?? 0) > 0;
  if (nanoCpus > 0 && (hasPeriod || (before.cpuQuota ?? 0) > 0)) {
    const what = hasPeriod ? "Period" : "Quota";
    throw refused(
      record,
      `Conflicting options: Nano CPUs cannot be updated as CPU ${what} has already been set`,
    );
  }
  const swapStays = change.swapBytes === undefined || change.swapBytes === 0;
  if (memoryBytes > 0 && swapStays && memoryBytes > swapOf(before)) {
    throw refused(
      record,
      "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
    );
  }
  return { ...before, ...withoutZeros(change) }; // ranges are for admitResources to refuse
}

/** 0: none set, -1: unbounded: also then Docker wants a new one beside a new limit of memory. */
function swapOf({ memoryBytes, swapBytes }: ContainerResources): number {
  return swapBytes ?? memoryBytes * 2;
}

/** Zero and "" mean "as it was" in an update. */
function withoutZeros(change: Partial<ContainerResources>): Partial<ContainerResources> {
  const kept = Object.entries(change).filter(
    ([, value]) => value !== undefined && value !== 0 && value !== "",
  );
  return Object.fromEntries(kept);
}

function refused({ id }: ContainerRecord, why: string): FailedPreconditionError {
  return new FailedPreconditionError(`Cannot update container ${id}: ${why}`);
}
