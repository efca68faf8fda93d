/**
 * Labels of a service that Skein turns into parts of its specification, so that the stock client and compose
 * files can ask for what Docker has no field for. Pure.
 *
 *   skein.placement.strategy   spread or binpack; absent: what the cluster says
 *   skein.devices              CDI names of devices, with commas: "vendor.com/gpu=0, vendor.com/gpu=1"
 *   skein.balance              roundrobin, sourcehash or localfirst; absent: EndpointSpec.Balance
 *   skein.idle-timeout         a duration of Go, "90s"; "0": the kernel's; absent: EndpointSpec.IdleTimeout
 *   skein.vip                  virtual addresses with commas, each in a subnet of the service's networks
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import {
  BalancePolicy,
  EndpointSpec,
  Placement,
  PlacementStrategy,
  type TaskSpec,
} from "../../proto/gen/skein/v1/types.js";
import { isIp } from "./ip-text.js";

export const STRATEGY_LABEL = "skein.placement.strategy";
export const DEVICES_LABEL = "skein.devices";
export const BALANCE_LABEL = "skein.balance";
export const IDLE_TIMEOUT_LABEL = "skein.idle-timeout";
export const VIP_LABEL = "skein.vip";

export const BALANCE_POLICIES = {
  roundrobin: BalancePolicy.ROUND_ROBIN,
  sourcehash: BalancePolicy.SOURCE_HASH,
  localfirst: BalancePolicy.LOCAL_FIRST,
} as const;

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

/**
 * What a label says counts, whatever stands in the field: a stock client sends back the one, not the other.
 * @throws {InvalidArgumentError} naming the label, the rule and the value.
 */
export function withEndpointLabels(
  endpoint: EndpointSpec | undefined,
  labels: Readonly<Record<string, string>>,
): EndpointSpec | undefined {
  const [policy, timeout, vip] = [BALANCE_LABEL, IDLE_TIMEOUT_LABEL, VIP_LABEL].map((key) => labels[key]);
  if (policy === undefined && timeout === undefined && vip === undefined) return endpoint;
  const out = endpoint ?? EndpointSpec.fromPartial({});
  return {
    ...out,
    ...(policy === undefined ? {} : { balance: balanceIn(policy) }),
    ...(timeout === undefined ? {} : { idleTimeoutMs: timeoutIn(timeout) }),
    ...(vip === undefined ? {} : { virtualAddresses: addressesIn(vip) }),
  };
}

function addressesIn(text: string): readonly string[] {
  const addresses = wordsOf(text);
  const bad = addresses.find((address) => !isIp(address));
  if (bad !== undefined)
    throw new InvalidArgumentError(`label ${VIP_LABEL} must hold IP addresses, got "${bad}"`);
  return addresses;
}

function wordsOf(text: string): readonly string[] {
  return text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
}

function balanceIn(text: string): BalancePolicy {
  const policy = Object.entries(BALANCE_POLICIES).find(([name]) => name === text)?.[1];
  if (policy === undefined) {
    const known = Object.keys(BALANCE_POLICIES).join(", ");
    throw new InvalidArgumentError(`label ${BALANCE_LABEL} must be one of ${known}, got "${text}"`);
  }
  return policy;
}

/** Longer than any duration is written; what looks for one in a text takes time by its square. */
const DURATION_CHARACTERS_MAX = 64;
const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** @returns undefined for "0". */
function timeoutIn(text: string): number | undefined {
  const shown = text.slice(0, DURATION_CHARACTERS_MAX);
  const parts = [...shown.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (text !== "0" && (parts.length === 0 || parts.map(([part]) => part).join("") !== text)) {
    throw new InvalidArgumentError(
      `label ${IDLE_TIMEOUT_LABEL} must be a duration such as 90s or 1h30m, got "${shown}"`,
    );
  }
  const ms = parts.reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * (DURATION_MS[unit ?? ""] ?? 0),
    0,
  );
  return ms === 0 ? undefined : Math.round(ms);
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
  const names = wordsOf(text ?? "");
  for (const name of names) {
    if (DEVICE.test(name)) continue;
    throw new InvalidArgumentError(
      `label ${DEVICES_LABEL} must hold CDI names like vendor.com/class=name, got "${name}"`,
    );
  }
  return names;
}
