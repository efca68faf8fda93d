/**
 * Labels of a service that Skein turns into parts of its specification, so that the stock client and compose
 * files can ask for what Docker has no field for. Pure.
 *
 *   skein.placement.strategy   spread or binpack; absent: what the cluster says
 *   skein.devices              CDI names of devices, with commas: "vendor.com/gpu=0, vendor.com/gpu=1"
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { Placement, PlacementStrategy, type TaskSpec } from "../../proto/gen/skein/v1/types.js";

export const STRATEGY_LABEL = "skein.placement.strategy";
export const DEVICES_LABEL = "skein.devices";

const STRATEGIES: ReadonlyMap<string, PlacementStrategy> = new Map([
  ["spread", PlacementStrategy.SPREAD],
  ["binpack", PlacementStrategy.BIN_PACK],
]);
/** A fully qualified device name. Source: the Container Device Interface specification, version 0.6. */
const DEVICE = /^[a-z0-9][a-z0-9.-]*\/[a-z0-9][a-z0-9_.-]*=[a-z0-9][a-z0-9_.:-]*$/i;

/** @throws {InvalidArgumentError} naming the label, the rule and the value. */
export function withServiceLabels(task: TaskSpec, labels: Readonly<Record<string, string>>): TaskSpec {
  const strategy = strategyIn(labels[STRATEGY_LABEL]);
  const devices = devicesIn(labels[DEVICES_LABEL]);
  let out = task;
  if (strategy !== undefined) {
    out = { ...out, placement: { ...(out.placement ?? Placement.fromPartial({})), strategy } };
  }
  if (devices.length > 0 && out.container !== undefined) {
    out = { ...out, container: { ...out.container, devices } };
  }
  return out;
}

function strategyIn(text: string | undefined): PlacementStrategy | undefined {
  if (text === undefined) return undefined;
  const strategy = STRATEGIES.get(text);
  if (strategy === undefined) {
    const known = [...STRATEGIES.keys()].join(" or ");
    throw new InvalidArgumentError(`label ${STRATEGY_LABEL} must be ${known}, got "${text}"`);
  }
  return strategy;
}

function devicesIn(text: string | undefined): readonly string[] {
  const names = (text ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  for (const name of names) {
    if (DEVICE.test(name)) continue;
    throw new InvalidArgumentError(
      `label ${DEVICES_LABEL} must hold CDI names like vendor.com/class=name, got "${name}"`,
    );
  }
  return names;
}
