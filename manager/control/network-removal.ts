/**
 * How a network goes. One that services use is refused. One whose tasks still stop gives its name back at
 * once, keeps its VXLAN identifier and addresses, and goes with the last of them; who removes it waits.
 * Pure over the store. Invariant: a name that was given back can be taken at once, with the same subnets.
 */
import type { Clock } from "../../base/clock/clock.js";
import { FailedPreconditionError } from "../../base/errors/errors.js";
import type { Network, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { isTerminal, stateRank } from "../orchestrator/task-state.js";
import type { ReadStore, ReadTx, WriteTx } from "../store/types.js";
import { needsIngress } from "./ingress-network.js";

/** A removal answers then, although the network is not gone yet. Below the time a client of the API waits. */
const WAIT_MS = 10_000;

/** @throws {FailedPreconditionError} naming who uses it. */
export function removeNetwork(tx: WriteTx, network: Network): "gone" | "going" {
  refuseUsed(tx, network);
  const tasks = tx.list("task", usersOf(network)).filter((task) => !isTerminal(task));
  if (tasks.length === 0) {
    tx.remove("network", network.id);
    return "gone";
  }
  const name = network.spec?.annotations?.name ?? network.id;
  tx.update("network", {
    ...network,
    pendingDelete: true,
    spec: network.spec && {
      ...network.spec,
      annotations: { labels: {}, name: `${name}.removed.${network.id}` },
    },
  });
  return "going";
}

/** Resolves when the network is gone, or after `WAIT_MS`. */
export async function waitUntilGone(
  parts: { readonly store: ReadStore; readonly clock: Clock },
  networkId: string,
): Promise<void> {
  const { store, clock } = parts;
  await new Promise<void>((resolve) => {
    const isGone = (): boolean => store.view((tx) => tx.get("network", networkId)) === undefined;
    const timer = clock.setTimer(WAIT_MS, () => end());
    const watch = store.watch({
      tables: ["network"],
      wake: () => {
        watch.take();
        if (isGone()) end();
      },
    });
    const end = (): void => {
      timer.cancel();
      watch.close();
      resolve();
    };
    if (isGone()) end();
  });
}

const usersOf = (network: Network) => ({ by: "networkId", networkId: network.id }) as const;

function refuseUsed(tx: ReadTx, network: Network): void {
  const name = network.spec?.annotations?.name ?? network.id;
  if (network.spec?.ingress === true) {
    const user = tx.list("service").find(({ spec }) => needsIngress(spec));
    if (user === undefined) return;
    throw new FailedPreconditionError(
      `ingress network cannot be removed because service ${nameOf(user)} depends on it`,
    );
  }
  const users = tx.list("service", usersOf(network));
  if (users.length > 0) {
    const names = users.map(nameOf).sort();
    const noun = names.length === 1 ? "service" : "services";
    throw new FailedPreconditionError(`network ${name} is in use by ${noun} ${names.join(", ")}`);
  }
  const task = tx.list("task", usersOf(network)).find(isToStay);
  if (task !== undefined) throw new FailedPreconditionError(`network ${name} is in use by task ${task.id}`);
}

/** Of no service, and nobody has stopped it: a container that joined by itself. */
function isToStay(task: Task): boolean {
  return (
    task.serviceId === "" && !isTerminal(task) && stateRank(task.desiredState) <= stateRank(TaskState.RUNNING)
  );
}

const nameOf = (service: Service): string => service.spec?.annotations?.name || service.id;
