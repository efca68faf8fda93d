/**
 * Published ports that go from one service of a stack to another: who has it still must give it up first.
 * Pure. Invariant: nothing that the definition wants is removed.
 */
import type { Service } from "../../../proto/gen/skein/v1/objects.js";
import { type StackDefinition, StackServiceState } from "../../../proto/gen/skein/v1/stack_types.js";
import { chosenPorts, conflictingPortKeys, portKey } from "../../store/index-keys.js";
import type { StackPlanBuilder } from "./stack-view.js";

/** Another service of the stack that has a port which the service is to have. */
export function portHolder(plan: StackPlanBuilder, service: Service): Service | undefined {
  const ports = chosenPorts(service.spec);
  if (ports.length === 0) return undefined;
  const wanted = new Set(ports.flatMap(conflictingPortKeys));
  const name = service.spec?.annotations?.name;
  return plan.view.tx
    .list("service", { by: "stackName", stackName: plan.name })
    .find(
      (other) =>
        other.spec?.annotations?.name !== name &&
        !isWritten(plan, other) &&
        chosenPorts(other.spec).some((port) => wanted.has(portKey(port))),
    );
}

/** In this plan: what it has is given up in the same transaction, or was never to be. */
function isWritten({ steps }: StackPlanBuilder, { id }: Service): boolean {
  return steps.some(
    (step) =>
      (step.kind === "updateService" && step.service.id === id) ||
      (step.kind === "removeService" && step.serviceId === id),
  );
}

/** What is to go at the end, goes now when it is in the way. */
export function makeWay(plan: StackPlanBuilder, definition: StackDefinition, holder: Service): boolean {
  const name = holder.spec?.annotations?.name;
  if (definition.services.some(({ spec }) => spec?.annotations?.name === name)) return false;
  const at = plan.services.findIndex(({ serviceId }) => serviceId === holder.id);
  if (at < 0 && !plan.before.prune) return false;
  plan.steps.push({ kind: "removeService", serviceId: holder.id });
  if (at >= 0) plan.note(at, { state: StackServiceState.REMOVED, message: "" });
  return true;
}
