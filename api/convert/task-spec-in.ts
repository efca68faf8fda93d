/**
 * Docker's TaskSpec to ours: container, resources, restart policy, placement, networks. Pure.
 */

import { NotImplementedError } from "../../base/errors/errors.js";
import {
  type GenericResource,
  type NetworkAttachmentConfig,
  type Resources,
  RestartCondition,
  TaskSpec,
} from "../../proto/gen/skein/v1/types.js";
import { containerSpecIn } from "./container-spec-in.js";
import type { Fields } from "./fields.js";

const CONDITIONS = {
  any: RestartCondition.ANY,
  "on-failure": RestartCondition.ON_FAILURE,
  none: RestartCondition.NONE,
};

export function attachmentsIn(fields: Fields | undefined, key: string): NetworkAttachmentConfig[] {
  return (fields?.objects(key) ?? []).map((network) => ({
    target: network.string("Target"),
    aliases: network.strings("Aliases"),
    addresses: network.strings("Addresses"),
    driverAttachmentOpts: network.stringMap("DriverOpts"),
  }));
}

function genericIn(fields: Fields): GenericResource {
  const discrete = fields.object("DiscreteResourceSpec");
  if (discrete !== undefined) {
    return { kind: discrete.string("Kind"), value: { $case: "discrete", value: discrete.integer("Value") } };
  }
  const named = fields.object("NamedResourceSpec");
  return {
    kind: named?.string("Kind") ?? "",
    value: { $case: "named", value: named?.string("Value") ?? "" },
  };
}

function resourcesIn(fields: Fields | undefined): Resources | undefined {
  if (fields === undefined) return undefined;
  return {
    nanoCpus: fields.integer("NanoCPUs"),
    memoryBytes: fields.integer("MemoryBytes"),
    generic: fields.objects("GenericResources").map(genericIn),
  };
}

function platformsIn(placement: Fields | undefined): { architecture: string; os: string }[] {
  return (placement?.objects("Platforms") ?? []).map((platform) => ({
    architecture: platform.string("Architecture"),
    os: platform.string("OS"),
  }));
}

export function taskSpecIn(fields: Fields | undefined): TaskSpec {
  for (const other of ["PluginSpec", "NetworkAttachmentSpec"]) {
    if (fields?.has(other))
      throw new NotImplementedError(`TaskTemplate.${other} is not supported: only ContainerSpec is`);
  }
  const resources = fields?.object("Resources");
  const limits = resources?.object("Limits");
  const restart = fields?.object("RestartPolicy");
  const placement = fields?.object("Placement");
  const logDriver = fields?.object("LogDriver");
  fields?.string("Runtime");
  return TaskSpec.fromPartial({
    container: containerSpecIn(fields?.object("ContainerSpec")),
    resources:
      resources === undefined
        ? undefined
        : {
            limits: resourcesIn(limits),
            reservations: resourcesIn(resources.object("Reservations")),
            limitPids: limits?.integer("Pids") ?? 0,
            swapBytes: resources.optionalInteger("SwapBytes", { min: -1 }),
            memorySwappiness: resources.optionalInteger("MemorySwappiness", { min: -1 }),
          },
    restart:
      restart === undefined
        ? undefined
        : {
            condition: restart.oneOf("Condition", CONDITIONS),
            delayMs: restart.optionalDurationMs("Delay"),
            maxAttempts: restart.integer("MaxAttempts"),
            windowMs: restart.optionalDurationMs("Window") ?? 0,
          },
    placement:
      placement === undefined
        ? undefined
        : {
            constraints: placement.strings("Constraints"),
            spreadPreferences: placement
              .objects("Preferences")
              .map((preference) => preference.object("Spread")?.string("SpreadDescriptor") ?? "")
              .filter((descriptor) => descriptor !== ""),
            platforms: platformsIn(placement),
            maxReplicas: placement.integer("MaxReplicas"),
          },
    forceUpdate: fields?.integer("ForceUpdate") ?? 0,
    networks: attachmentsIn(fields, "Networks"),
    logDriver:
      logDriver === undefined
        ? undefined
        : { name: logDriver.string("Name"), options: logDriver.stringMap("Options") },
  });
}
