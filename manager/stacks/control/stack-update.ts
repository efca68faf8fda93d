/**
 * What who watches a stack is told: the stack as it is, and each service's tasks.
 * Pure over a read of the store.
 */
import type { Service } from "../../../proto/gen/skein/v1/objects.js";
import type { StackServiceCounts, StackUpdate } from "../../../proto/gen/skein/v1/stacks.js";
import { countTasks } from "../../control/service-counts.js";
import type { ReadTx } from "../../store/types.js";
import { findStack } from "../deployment/begin.js";
import { isUnderWay } from "../deployment/stack-phase.js";
import { serviceTrouble } from "./service-trouble.js";
import { labelledStack } from "./stack-list.js";

export interface StackNews {
  readonly update: StackUpdate;
  /** Nothing more will be told. */
  readonly isLast: boolean;
}

export function stackNews(tx: ReadTx, name: string): StackNews {
  // what others still use may outlive a stack: without a service it is none
  const stack = findStack(tx, name) ?? labelledStack(tx, name, ["service"]);
  if (stack === undefined) return { update: { stack, counts: [] }, isLast: true };
  const keys = new Map((stack.deployment?.services ?? []).map((service) => [service.name, service.key]));
  const counts = tx
    .list("service", { by: "stackName", stackName: name })
    .filter(({ pendingDelete }) => !pendingDelete)
    .map((service) => countsOf(tx, service, { stackName: name, keys }));
  return { update: { stack, counts }, isLast: !isUnderWay(stack) };
}

function countsOf(
  tx: ReadTx,
  service: Service,
  named: { readonly stackName: string; readonly keys: ReadonlyMap<string, string> },
): StackServiceCounts {
  const name = service.spec?.annotations?.name ?? service.id;
  const tasks = tx.list("task", { by: "serviceId", serviceId: service.id });
  const node = (id: string) => tx.get("node", id);
  return {
    key: named.keys.get(name) ?? serviceKey(name, named.stackName),
    counts: countTasks(service, { tasks, node }),
    trouble: serviceTrouble(service, tasks, node),
  };
}

/** "web" for "shop_web". */
export function serviceKey(serviceName: string, stackName: string): string {
  return serviceName.startsWith(`${stackName}_`) ? serviceName.slice(stackName.length + 1) : serviceName;
}
