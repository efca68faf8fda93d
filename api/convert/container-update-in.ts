/**
 * Docker's update request: limits and restart policy for a container that is there. Pure.
 * Source: Docker Engine API 1.51, POST /containers/{id}/update.
 */
import type { ContainerUpdate } from "../../proto/engine/containers.js";
import { restartPolicyIn } from "./container-in-policies.js";
import { type Machine, resourcesIn } from "./container-in-resources.js";
import { HOST_CONFIG } from "./container-shapes.js";
import type { Fields } from "./fields.js";
import { laidOut } from "./go-shape.js";

export interface UpdateIn {
  readonly change: ContainerUpdate;
  readonly warnings: readonly string[];
}

export function updateIn(body: Fields, machine: Machine): UpdateIn {
  const warnings: string[] = [];
  const restartPolicy = restartPolicyIn(body.object("RestartPolicy"));
  const swapAlone = body.has("MemorySwap") && !body.has("Memory");
  const resources = resourcesIn(body, machine, warnings, { swapAlone });
  warnings.push(
    ...body.unread().map((path) => `${path.replace(/^body\./, "")} cannot be updated: it is ignored`),
  );
  return {
    change: {
      resources,
      ...(restartPolicy === undefined ? {} : { restartPolicy }),
      hostConfig: changedKeys(body),
    },
    warnings,
  };
}

/** What inspect shows differently from now on: keys that say something. */
function changedKeys(body: Fields): Readonly<Record<string, unknown>> {
  const given = laidOut(HOST_CONFIG, Object.fromEntries(body.keys().map((key) => [key, body.raw(key)])));
  const kept = new Set(body.keys().map((key) => key.toLowerCase()));
  return Object.fromEntries(
    Object.entries(given)
      .filter(
        ([key, value]) =>
          kept.has(key.toLowerCase()) && RESOURCES.has(key) && value !== 0 && value !== "" && value !== null,
      )
      .map(([key, value]) => [key, key === "PidsLimit" ? Math.max(0, Number(value)) : value]),
  );
}

const RESOURCES = new Set(
  (
    "CpuShares Memory NanoCpus CgroupParent BlkioWeight BlkioWeightDevice BlkioDeviceReadBps " +
    "BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota CpuRealtimePeriod " +
    "CpuRealtimeRuntime CpusetCpus CpusetMems MemoryReservation MemorySwap PidsLimit"
  ).split(" "),
);
