/**
 * How many addresses of a network are in use, as the store says.
 * Pure over reads of the store. Invariant: counted as the allocator leases them: what it would refuse is in
 * use here.
 * Cost: one look at each task and service of the network, in slices.
 */
import type { Clock } from "../../base/clock/clock.js";
import { nextTurn } from "../../base/loop/process-turn.js";
import type { NetworkUse, SubnetUse } from "../../proto/gen/skein/v1/control.js";
import type { Network, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { poolOf } from "../allocator/address-space.js";
import { isTerminal } from "../orchestrator/task-state.js";
import type { ReadStore } from "../store/types.js";
import { isLeaving } from "./find-object.js";

/** Nothing may hold the event loop for more than 20 ms. */
const SLICE_MS = 6;
/** Between two looks at the clock. */
const HOLDERS_PER_LOOK = 64;

interface Parts {
  readonly store: ReadStore;
  readonly clock: Clock;
}

export function subnetUseOf(parts: Parts, network: Network): Promise<SubnetUse[]> {
  return countIn(parts, network, sliceOf(parts.clock));
}

/** Gives others a turn when its time is up; one for a whole answer, however many networks that has. */
function sliceOf(clock: Clock): () => Promise<void> | undefined {
  let endMs = clock.monotonicMs() + SLICE_MS;
  return () => {
    if (clock.monotonicMs() < endMs) return undefined;
    return nextTurn().then(() => {
      endMs = clock.monotonicMs() + SLICE_MS;
    });
  };
}

async function countIn(
  { store }: Parts,
  network: Network,
  pause: () => Promise<void> | undefined,
): Promise<SubnetUse[]> {
  if (network.ipam.length === 0) return [];
  await pause();
  const pools = network.ipam.map(poolOf);
  const lookup = { by: "networkId", networkId: network.id } as const;
  const holders: readonly (Service | Task)[] = store.view((tx) => [
    ...tx.list("service", lookup),
    ...tx.list("task", lookup),
  ]);
  for (const [at, holder] of holders.entries()) {
    for (const address of addressesOf(holder, network.id))
      for (const pool of pools) if (pool.reserve(address, holder.id)) break;
    if (at % HOLDERS_PER_LOOK === 0) await pause();
  }
  return pools.map((pool) => ({
    subnet: pool.subnet,
    inUse: pool.unavailableCount,
    available: pool.capacity - pool.usedCount,
  }));
}

/** CIDRs it holds on the network: virtual addresses of a service, those of a task that may still run. */
function addressesOf(holder: Service | Task, networkId: string): readonly string[] {
  if ("networks" in holder) {
    if (isTerminal(holder)) return [];
    return holder.networks.filter((one) => one.networkId === networkId).flatMap((one) => one.addresses);
  }
  return (holder.endpoint?.virtualIps ?? [])
    .filter((vip) => vip.networkId === networkId)
    .map(({ address }) => address);
}

/** Of all networks that have addresses. */
export async function networkUse(parts: Parts): Promise<NetworkUse[]> {
  const out: NetworkUse[] = [];
  const pause = sliceOf(parts.clock);
  for (const network of parts.store.view((tx) => tx.list("network"))) {
    if (isLeaving(network) || network.ipam.length === 0) continue;
    const subnets = await countIn(parts, network, pause);
    out.push({ id: network.id, name: network.spec?.annotations?.name ?? "", subnets });
  }
  return out;
}
