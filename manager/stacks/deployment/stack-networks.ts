/**
 * Networks of a stack: what becomes of each for a definition. Labels and more subnets change a network that
 * is there; anything else makes a new one that takes its name, services move to it in their own order, and
 * the old one goes when the last has left. One that was replaced and is wanted again gets its name back, so
 * that what has not left it yet need not.
 * Pure over a read of the store. Invariant: a network that others than the stack use is not replaced.
 */
import { Network } from "../../../proto/gen/skein/v1/objects.js";
import type { StackNetwork } from "../../../proto/gen/skein/v1/stack_types.js";
import type { IpamConfig, NetworkSpec } from "../../../proto/gen/skein/v1/types.js";
import { isLeaving } from "../../control/find-object.js";
import { deepEqual } from "../../orchestrator/spec-equality.js";
import { isTerminal } from "../../orchestrator/task-state.js";
import { STACK_LABEL } from "../../store/index-keys.js";
import type { ReadTx } from "../../store/types.js";
import type { Step } from "./steps.js";

export type NetworkChange = "same" | "adjust" | "replace";

/** What it takes to make a network as wanted, names aside. */
export function networkChange(before: NetworkSpec | undefined, wanted: NetworkSpec): NetworkChange {
  if (before === undefined) return "replace";
  const [old, next] = [madeOf(before), madeOf(wanted)];
  if (!deepEqual(old, next)) return "replace";
  const has = (config: IpamConfig): boolean => before.ipamConfigs.some((other) => deepEqual(other, config));
  const keeps = (config: IpamConfig): boolean => wanted.ipamConfigs.some((other) => deepEqual(other, config));
  if (wanted.ipamConfigs.length > 0 && !before.ipamConfigs.every(keeps)) return "replace";
  if (before.ipamConfigs.length === 0 && wanted.ipamConfigs.length > 0) return "replace";
  const sameLabels = deepEqual(before.annotations?.labels ?? {}, wanted.annotations?.labels ?? {});
  return sameLabels && wanted.ipamConfigs.every(has) ? "same" : "adjust";
}

/** All that cannot change while the network is there. */
function madeOf(spec: NetworkSpec): object {
  return {
    ...(spec.driver === "" ? { ...spec, driver: "overlay" } : spec),
    annotations: undefined,
    ipamConfigs: undefined,
    scope: "",
    configFrom: "",
    ipamDriver: spec.ipamDriver || "default",
  };
}

/** The name of a network that has made way for another of its name. */
function replacedName(name: string, id: string): string {
  return `${name}.replaced.${id}`;
}

export function isReplaced(network: Network): boolean {
  const name = network.spec?.annotations?.name ?? "";
  return name.endsWith(`.replaced.${network.id}`);
}

export interface NetworkNeeds {
  readonly tx: ReadTx;
  readonly stackName: string;
  readonly newId: () => string;
}

/** @returns what to do so that the definition's networks are there; or why that cannot be. */
export function planNetworks(
  networks: readonly StackNetwork[],
  needs: NetworkNeeds,
): { readonly steps: readonly Step[] } | { readonly refused: string } {
  const steps: Step[] = [];
  for (const { external, spec } of networks) {
    const name = spec?.annotations?.name ?? "";
    if (external || spec === undefined) continue; // who is on it misses it when it is gone
    const found = needs.tx.list("network", { by: "name", name }).find((network) => !isLeaving(network));
    if (found !== undefined && found.spec?.annotations?.labels[STACK_LABEL] !== needs.stackName)
      return { refused: `network ${name} is there and belongs to somebody else` };
    const change = found === undefined ? "replace" : networkChange(found.spec, spec);
    if (change === "same") continue;
    if (found?.spec !== undefined && change === "adjust") {
      steps.push({ kind: "updateNetwork", network: { ...found, spec: adjusted(found.spec, spec) } });
      continue;
    }
    if (found !== undefined) {
      const other = otherUser(needs, found);
      if (other !== "")
        return { refused: `network ${name} would have to be replaced, and ${other} uses it, too` };
      steps.push({ kind: "updateNetwork", network: renamed(found, replacedName(name, found.id)) });
    }
    steps.push(takeName(spec, name, needs));
  }
  return { steps };
}

function adjusted(before: NetworkSpec, wanted: NetworkSpec): NetworkSpec {
  const added = wanted.ipamConfigs.filter(
    (config) => !before.ipamConfigs.some((other) => deepEqual(other, config)),
  );
  const labels = wanted.annotations?.labels ?? {};
  return {
    ...before,
    annotations: { name: "", ...before.annotations, labels },
    ipamConfigs: [...before.ipamConfigs, ...added],
  };
}

function renamed(network: Network, name: string): Network {
  const { spec } = network;
  if (spec === undefined) return network;
  return { ...network, spec: { ...spec, annotations: { labels: {}, ...spec.annotations, name } } };
}

/** The one that had the name before and is as wanted; else a new one. */
function takeName(spec: NetworkSpec, name: string, { tx, stackName, newId }: NetworkNeeds): Step {
  const former = tx
    .list("network", { by: "stackName", stackName })
    .find(
      (network) =>
        network.spec?.annotations?.name === replacedName(name, network.id) &&
        networkChange(network.spec, spec) === "same",
    );
  if (former !== undefined) return { kind: "updateNetwork", network: renamed(former, name) };
  const wanted: NetworkSpec = { ...spec, driver: "overlay", scope: "swarm" };
  return { kind: "createNetwork", network: Network.fromPartial({ id: newId(), spec: wanted }) };
}

/** @returns in words who uses the network beside the stack; "" when nobody does. */
export function otherUser(
  { tx, stackName }: Pick<NetworkNeeds, "tx" | "stackName">,
  { id }: Network,
): string {
  const service = tx
    .list("service", { by: "networkId", networkId: id })
    .find(({ spec }) => spec?.annotations?.labels[STACK_LABEL] !== stackName);
  if (service !== undefined) return `service ${service.spec?.annotations?.name || service.id}`;
  const task = tx
    .list("task", { by: "networkId", networkId: id })
    .find((candidate) => candidate.serviceId === "" && !isTerminal(candidate));
  return task === undefined ? "" : `container ${task.attached?.name ?? task.id}`;
}
