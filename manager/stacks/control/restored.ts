/**
 * Which revision a stack goes back to, and what its definition is today.
 * Pure over a read of the store.
 */
import { FailedPreconditionError, NotFoundError } from "../../../base/errors/errors.js";
import type { Stack, StackRevision } from "../../../proto/gen/skein/v1/objects.js";
import {
  RevisionOutcome,
  type StackDefinition,
  StackPhase,
} from "../../../proto/gen/skein/v1/stack_types.js";
import type { ReadTx } from "../../store/types.js";
import { findStack, revisionOf } from "../deployment/begin.js";
import { definitionChanges } from "./definition-changes.js";
import { networkName } from "./definition-form.js";
import { definitionNow } from "./definition-now.js";

/** The revision that a new one is compared with: the one being applied, else the good one. */
export function revisionInForce(tx: ReadTx, stack: Stack): StackRevision | undefined {
  const isApplied = stack.deployment?.phase === StackPhase.APPLYING;
  return revisionOf(tx, stack.id, isApplied ? stack.newestRevision : stack.goodRevision);
}

/** @param number 0: the good one before the one in force; where a deployment got stuck, the good one. */
export function revisionToRestore(tx: ReadTx, name: string, number: number): StackRevision {
  const stack = findStack(tx, name);
  if (stack === undefined) throw new NotFoundError(`stack ${name} has no revisions`);
  if (number !== 0) {
    const found = revisionOf(tx, stack.id, number);
    if (found === undefined)
      throw new NotFoundError(`revision ${number} of stack ${name} is not there, or not kept any more`);
    return found;
  }
  const phase = stack.deployment?.phase;
  if (phase === StackPhase.STUCK || phase === StackPhase.GOING_BACK) {
    // what is there is nothing whole: the good one is what is meant
    const good = revisionOf(tx, stack.id, stack.goodRevision);
    if (good !== undefined) return good;
  }
  const there = revisionInForce(tx, stack);
  const before = tx
    .list("stackRevision", { by: "stackId", stackId: stack.id })
    .filter(
      (revision) =>
        revision.outcome === RevisionOutcome.GOOD &&
        revision.number < (there?.number ?? stack.newestRevision + 1) &&
        definitionChanges(revision.definition, there?.definition).length > 0,
    )
    .sort((a, b) => b.number - a.number)[0];
  if (before === undefined)
    throw new FailedPreconditionError(`stack ${name} has no good revision before the one that is there`);
  return before;
}

/** Credentials of an old revision may have been changed since: those that a service has now are taken. */
export function withNewestCredentials(tx: ReadTx, definition: StackDefinition): StackDefinition {
  const services = definition.services.map((service) => {
    const name = service.spec?.annotations?.name ?? "";
    const auth = tx.list("service", { by: "name", name })[0]?.spec?.task?.container?.pullAuth ?? "";
    return auth === "" ? service : { ...service, registryAuth: auth };
  });
  return { ...definition, services };
}

/**
 * Going back removes what later revisions brought. What was left over by deployments without prune, which no
 * later revision names, stays: it becomes part of the definition as it is.
 */
export function withLeftOver(tx: ReadTx, old: StackRevision, definition: StackDefinition): StackDefinition {
  const name = old.annotations?.name.replace(/\.\d+$/, "") ?? "";
  const later = tx
    .list("stackRevision", { by: "stackId", stackId: old.stackId })
    .filter(({ number }) => number > old.number)
    .flatMap((revision) => revision.definition ?? []);
  const brought = {
    services: new Set(later.flatMap(({ services }) => services.map(({ spec }) => spec?.annotations?.name))),
    networks: new Set(later.flatMap(({ networks }) => networks.map(networkName))),
  };
  const now = definitionNow(tx, { stackName: name, like: definition });
  const has = {
    services: new Set(definition.services.map(({ spec }) => spec?.annotations?.name)),
    networks: new Set(definition.networks.map(networkName)),
  };
  const services = now.services.filter(
    ({ spec }) =>
      !has.services.has(spec?.annotations?.name) && !brought.services.has(spec?.annotations?.name),
  );
  const networks = now.networks.filter(
    (network) => !has.networks.has(networkName(network)) && !brought.networks.has(networkName(network)),
  );
  if (services.length === 0 && networks.length === 0) return definition;
  return {
    ...definition,
    networks: [...definition.networks, ...networks],
    services: [...definition.services, ...services],
  };
}
