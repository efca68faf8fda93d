/**
 * How a deployment and a removal begin: what the store holds from then on is all that the
 * leader's loop goes by.
 * Pure over a transaction. Invariants: a stack has one deployment, the newest; a revision that was still
 * pending when another was wanted is superseded, and what its deployment created is remembered as created;
 * of revisions the newest ten are kept, and the good one.
 */
import { FailedPreconditionError, NotFoundError } from "../../../base/errors/errors.js";
import { Stack, StackRevision } from "../../../proto/gen/skein/v1/objects.js";
import {
  RevisionOrigin,
  RevisionOutcome,
  type StackDefinition,
  StackDeployment,
  type StackOnFailure,
  StackPhase,
  StackServiceProgress,
  StackServiceState,
} from "../../../proto/gen/skein/v1/stack_types.js";
import type { ReadTx, WriteTx } from "../../store/types.js";
import { isUnderWay, stackName } from "./stack-phase.js";

/** Revisions kept of a stack, the newest first; the last good one is kept beside them. */
export const REVISIONS_KEPT = 10;
/** Milliseconds until a service that is not reached has failed. */
export const DEPLOYMENT_TIMEOUT_MS = 10 * 60_000;

/** Who asks, how long it may take, and what becomes of a failure. */
export interface DeploymentOptions {
  readonly prune: boolean;
  readonly onFailure: StackOnFailure;
  /** 0: `DEPLOYMENT_TIMEOUT_MS`. */
  readonly timeoutMs: number;
  readonly madeBy: string;
  readonly nowMs: number;
  readonly newId: () => string;
}

export interface WantedRevision extends DeploymentOptions {
  readonly name: string;
  /**
   * Checked, and in its stored form (`control/definition-form.ts`): no data, versions by number, labels of
   * the stack, credentials inside specifications. What it needs of secrets and configs is in the store.
   */
  readonly definition: StackDefinition;
  /** Against the revision before, in words. */
  readonly changes: string;
  /** @default deploy */
  readonly origin?: RevisionOrigin;
  /** Number of the revision whose definition it has; @default 0, its own */
  readonly restores?: number;
}

export interface Begun {
  readonly stack: Stack;
  readonly revision: StackRevision;
}

/**
 * Makes the stack when it is new, and a revision that is pending: the loop on the leader does the rest.
 * @throws {FailedPreconditionError} while the stack is being removed.
 */
export function beginDeployment(tx: WriteTx, wanted: WantedRevision): Begun {
  const before = findStack(tx, wanted.name);
  if (before?.deployment?.phase === StackPhase.REMOVING)
    throw new FailedPreconditionError(`stack ${wanted.name} is being removed: wait until it is gone`);
  const number = (before?.newestRevision ?? 0) + 1;
  const id = before?.id ?? wanted.newId();
  const revision = StackRevision.fromPartial({
    id: wanted.newId(),
    annotations: { name: `${wanted.name}.${number}`, labels: {} },
    stackId: id,
    number,
    definition: wanted.definition,
    madeBy: wanted.madeBy,
    madeAtMs: wanted.nowMs,
    changes: wanted.changes,
    outcome: RevisionOutcome.PENDING,
    origin: wanted.origin ?? RevisionOrigin.DEPLOY,
    restores: wanted.restores ?? 0,
  });
  const deployment = newDeployment(before, wanted, number);
  if (before !== undefined) supersede(tx, before);
  tx.create("stackRevision", revision);
  const stack = before ?? Stack.fromPartial({ id, annotations: { name: wanted.name, labels: {} } });
  const next = { ...stack, newestRevision: number, deployment };
  if (before === undefined) tx.create("stack", next);
  else tx.update("stack", next);
  dropOldRevisions(tx, next);
  return { stack: next, revision };
}

/** @throws {NotFoundError} when there is no such stack. */
export function beginRemoval(tx: WriteTx, wanted: { readonly name: string; readonly nowMs: number }): Stack {
  const stack = findStack(tx, wanted.name);
  if (stack === undefined) throw new NotFoundError(`stack ${wanted.name} not found`);
  if (stack.deployment?.phase === StackPhase.REMOVING) return stack;
  const next = removing(tx, stack, wanted.nowMs);
  supersede(tx, stack);
  tx.update("stack", next);
  return next;
}

/** The stack as it is while it goes: all services that carry its label are to go. */
export function removing(tx: ReadTx, stack: Stack, nowMs: number): Stack {
  const name = stackName(stack);
  const services = tx.list("service", { by: "stackName", stackName: name }).map(({ id, spec }) => {
    const named = spec?.annotations?.name ?? id;
    return StackServiceProgress.fromPartial({ key: keyOf(stack, named), name: named, serviceId: id });
  });
  const deployment = StackDeployment.fromPartial({
    revision: stack.newestRevision,
    phase: StackPhase.REMOVING,
    startedAtMs: nowMs,
    services,
    step: (stack.deployment?.step ?? 0) + 1,
  });
  return { ...stack, deployment };
}

/** "web" for "shop_web". */
function keyOf(stack: Stack, serviceName: string): string {
  const prefix = `${stackName(stack)}_`;
  return serviceName.startsWith(prefix) ? serviceName.slice(prefix.length) : serviceName;
}

/** By its exact name: look-ups by name, and what the store lets be beside it, know no case. */
export function findStack(tx: ReadTx, name: string): Stack | undefined {
  return tx.list("stack", { by: "name", name }).find((stack) => stackName(stack) === name);
}

export function revisionOf(tx: ReadTx, stackId: string, number: number): StackRevision | undefined {
  return tx.list("stackRevision", { by: "stackId", stackId }).find((revision) => revision.number === number);
}

function newDeployment(before: Stack | undefined, wanted: WantedRevision, number: number): StackDeployment {
  const { definition, nowMs } = wanted;
  const names = new Set(definition.services.map(({ spec }) => spec?.annotations?.name));
  // what a deployment created that never ended well is nobody's: it goes with this one's failure, or its end
  const inherited = isOpenEnded(before)
    ? (before?.deployment?.services ?? []).filter(
        ({ created, state, serviceId }) => created && serviceId !== "" && state !== StackServiceState.REMOVED,
      )
    : [];
  const services = definition.services.map(({ key, spec }) => {
    const name = spec?.annotations?.name ?? "";
    const old = inherited.find((service) => service.name === name);
    return StackServiceProgress.fromPartial({
      key,
      name,
      serviceId: old?.serviceId ?? "",
      created: old !== undefined,
    });
  });
  const leftOver = inherited
    .filter(({ name }) => !names.has(name))
    .map(({ key, name, serviceId }) =>
      StackServiceProgress.fromPartial({ key, name, serviceId, created: true }),
    );
  return StackDeployment.fromPartial({
    revision: number,
    phase: StackPhase.APPLYING,
    startedAtMs: nowMs,
    deadlineMs: nowMs + (wanted.timeoutMs || DEPLOYMENT_TIMEOUT_MS),
    onFailure: wanted.onFailure,
    prune: wanted.prune,
    services: [...services, ...leftOver],
    step: (before?.deployment?.step ?? 0) + 1,
  });
}

/** Nobody has found the newest deployment good, nor taken it back. */
function isOpenEnded(stack: Stack | undefined): boolean {
  return isUnderWay(stack) || stack?.deployment?.phase === StackPhase.STUCK;
}

function supersede(tx: WriteTx, stack: Stack): void {
  const pending = tx
    .list("stackRevision", { by: "stackId", stackId: stack.id })
    .filter(({ outcome }) => outcome === RevisionOutcome.PENDING);
  for (const revision of pending)
    tx.update("stackRevision", { ...revision, outcome: RevisionOutcome.SUPERSEDED });
}

/** What is beyond the bound; the good one stays. */
export function dropOldRevisions(tx: WriteTx, stack: Stack): void {
  const oldest = stack.newestRevision - REVISIONS_KEPT;
  for (const { id, number } of tx.list("stackRevision", { by: "stackId", stackId: stack.id }))
    if (number <= oldest && number !== stack.goodRevision) tx.remove("stackRevision", id);
}
