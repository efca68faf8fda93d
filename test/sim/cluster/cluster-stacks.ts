/**
 * Stacks in a simulated cluster: what a user asks of them, what must hold at each commit, and what they
 * must have come to in the end. Pure.
 * Invariant: an answer of the leader is believed, no answer is believed to be either.
 */
import { isUnderWay, phaseWord, stackName } from "../../../manager/stacks/deployment/stack-phase.js";
import { STACK_LABEL } from "../../../manager/store/index-keys.js";
import type { ReadTx, StoreChange } from "../../../manager/store/types.js";
import type { Service, Stack } from "../../../proto/gen/skein/v1/objects.js";
import {
  RevisionOutcome,
  StackCondition,
  StackDefinition,
  StackOnFailure,
  StackPhase,
  StackService,
} from "../../../proto/gen/skein/v1/stack_types.js";
import { DeployStackRequest, RollbackStackRequest } from "../../../proto/gen/skein/v1/stacks.js";
import { RestartCondition, ServiceSpec } from "../../../proto/gen/skein/v1/types.js";
import type { ManagerProcess } from "./cluster-manager.js";
import type { ClusterEvent } from "./cluster-schedule.js";

const NAMES = ["one", "two"] as const;
/** Short, so that a deployment ends within the time that a healed cluster has to agree. */
const TIMEOUT_MS = 20_000;

/** Asks the leader for what a deed says. @throws what the control API throws. */
export async function doStackDeed(leader: ManagerProcess, { kind, draws }: ClusterEvent): Promise<void> {
  const name = NAMES[draws[0] < 0.6 ? 0 : 1];
  const onFailure = draws[1] < 0.1 ? StackOnFailure.KEEP : StackOnFailure.GO_BACK;
  await leader.askStacks(async (stacks) => {
    switch (kind) {
      case "stack-deploy": {
        const definition = definitionOf(name, draws);
        const request = { name, definition, onFailure, timeoutMs: TIMEOUT_MS, prune: draws[2] < 0.5 };
        await stacks.deploy(DeployStackRequest.fromPartial(request));
        return;
      }
      case "stack-rollback":
        await stacks.rollback(RollbackStackRequest.fromPartial({ name, onFailure, timeoutMs: TIMEOUT_MS }));
        return;
      case "stack-remove":
        await stacks.remove({ name, madeBy: "" });
        return;
      default:
        throw new Error(`${kind} is not about stacks`);
    }
  });
}

/** A cache, a migration, a web service that depends on both, and now and then a fourth beside them. */
function definitionOf(stack: string, draws: ClusterEvent["draws"]): StackDefinition {
  const [, , , draw] = draws;
  const version = Math.floor(draw * 5);
  const fate = draw < 0.12 ? "bad" : draw < 0.24 ? "crash" : draw < 0.4 ? "slow" : "ok";
  const jobVersion = draws[2] < 0.3 ? 2 : 1;
  const services = [
    serviceOf(stack, "cache", { image: draws[1] < 0.5 ? "ok:1" : "ok:2", replicas: 1 }),
    serviceOf(stack, "migrate", { image: `job:${jobVersion}`, replicas: 0 }),
    serviceOf(stack, "web", {
      image: `${fate}:${version}`,
      replicas: 1 + Math.floor(draws[1] * 3),
      needs: { cache: StackCondition.STARTED, migrate: StackCondition.COMPLETED },
    }),
    ...(draws[2] < 0.4 ? [serviceOf(stack, "extra", { image: "ok:1", replicas: 1 })] : []),
  ];
  return StackDefinition.fromPartial({
    networks: [{ key: "net", spec: { annotations: { name: `${stack}_net` }, internal: draws[0] > 0.9 } }],
    services,
  });
}

function serviceOf(
  stack: string,
  key: string,
  wish: {
    readonly image: string;
    /** 0: a job. */
    readonly replicas: number;
    readonly needs?: Readonly<Record<string, StackCondition>>;
  },
): StackService {
  const { image, replicas, needs = {} } = wish;
  const isJob = replicas === 0;
  const spec = ServiceSpec.fromPartial({
    annotations: { name: `${stack}_${key}` },
    mode: isJob
      ? { $case: "replicatedJob", value: { maxConcurrent: 1, totalCompletions: 1 } }
      : { $case: "replicated", value: { replicas } },
    task: {
      container: { image, stopGracePeriodMs: 6_000 },
      networks: isJob ? [] : [{ target: `${stack}_net` }],
      restart: { condition: isJob ? RestartCondition.ON_FAILURE : RestartCondition.ANY, delayMs: 500 },
    },
    update: isJob ? undefined : { parallelism: 1, monitorMs: 500 },
  });
  const dependsOn = Object.entries(needs).map(([service, condition]) => ({ service, condition }));
  return StackService.fromPartial({ key, spec, dependsOn });
}

const NEXT: Readonly<Record<string, readonly StackPhase[]>> = {
  [StackPhase.APPLYING]: [StackPhase.REACHED, StackPhase.GOING_BACK, StackPhase.WENT_BACK, StackPhase.STUCK],
  [StackPhase.GOING_BACK]: [StackPhase.WENT_BACK, StackPhase.STUCK],
};

/** What must hold at each commit. @returns the promise that is broken, in words. */
export function brokenByStack(tx: ReadTx, change: StoreChange): string | undefined {
  if (change.table === "service") return brokenOrder(tx, change.before, change.after);
  if (change.table !== "stack" || change.before === undefined || change.after === undefined) return undefined;
  const [old, now] = [change.before.deployment, change.after.deployment];
  const name = stackName(change.after);
  if (old === undefined || now === undefined) return undefined;
  if (now.step <= old.step) return `stack ${name} stays at step ${now.step}`;
  if (change.after.goodRevision < change.before.goodRevision) return `stack ${name} lost its good revision`;
  const begins = now.revision > old.revision || now.phase === StackPhase.REMOVING;
  if (begins || now.phase === old.phase || NEXT[old.phase]?.includes(now.phase) === true) return undefined;
  return `stack ${name} goes from ${phaseWord(old.phase)} to ${phaseWord(now.phase)}`;
}

/** What a service depends on was written before it, and as the revision has it. */
function brokenOrder(
  tx: ReadTx,
  before: Service | undefined,
  after: Service | undefined,
): string | undefined {
  if (after === undefined || before?.spec === after.spec) return undefined;
  const label = after.spec?.annotations?.labels[STACK_LABEL] ?? "";
  const stack = label === "" ? undefined : tx.list("stack", { by: "name", name: label })[0];
  if (stack?.deployment?.phase !== StackPhase.APPLYING) return undefined;
  const services = definitionAt(tx, stack, stack.deployment.revision)?.services ?? [];
  const own = services.find(({ spec }) => spec?.annotations?.name === after.spec?.annotations?.name);
  if (imageOf(own) !== imageOf(after)) return undefined; // its own rollback
  for (const { service } of own?.dependsOn ?? []) {
    const wanted = services.find(({ key }) => key === service);
    const there = tx.list("service", { by: "name", name: wanted?.spec?.annotations?.name ?? "" })[0];
    if (imageOf(there) !== imageOf(wanted)) return `${own?.key} of stack ${label} began before ${service}`;
  }
  return undefined;
}

function imageOf(of: Pick<Service, "spec"> | undefined): string | undefined {
  return of?.spec?.task?.container?.image;
}

function definitionAt(tx: ReadTx, stack: Stack, number: number): StackDefinition | undefined {
  const revisions = tx.list("stackRevision", { by: "stackId", stackId: stack.id });
  return revisions.find((revision) => revision.number === number)?.definition;
}

/** In the end each deployment has ended, and the services are those of the revision it ended on. */
export function stackDisagreements(tx: ReadTx): readonly string[] {
  const found: string[] = [];
  const stacks = tx.list("stack");
  for (const stack of stacks) {
    const { deployment } = stack;
    const name = stackName(stack);
    if (deployment === undefined) continue;
    if (isUnderWay(stack)) {
      const services = deployment.services.map(({ key, state, message }) => `${key} ${state} ${message}`);
      found.push(`stack ${name} is ${phaseWord(deployment.phase)}: ${services.join("; ")}`);
      continue;
    }
    const outcome = tx
      .list("stackRevision", { by: "stackId", stackId: stack.id })
      .find(({ number }) => number === deployment.revision)?.outcome;
    const isReached = deployment.phase === StackPhase.REACHED;
    if (outcome !== (isReached ? RevisionOutcome.GOOD : RevisionOutcome.FAILED))
      found.push(`revision ${deployment.revision} of ${name} is ${outcome}, ${phaseWord(deployment.phase)}`);
    if (deployment.phase === StackPhase.STUCK) continue;
    const number = isReached ? deployment.revision : deployment.goingBackTo;
    found.push(...differences(tx, name, definitionAt(tx, stack, number)));
  }
  const names = new Set(stacks.map(stackName));
  for (const { spec } of tx.list("service")) {
    const label = spec?.annotations?.labels[STACK_LABEL] ?? "";
    if (label !== "" && !names.has(label)) found.push(`${spec?.annotations?.name} has no stack any more`);
  }
  return found;
}

/** Without prune there may be more than the definition has. */
function differences(tx: ReadTx, name: string, definition: StackDefinition | undefined): readonly string[] {
  const found: string[] = [];
  for (const wanted of definition?.services ?? []) {
    const serviceName = wanted.spec?.annotations?.name ?? "";
    const there = tx.list("service", { by: "name", name: serviceName })[0];
    if (imageOf(there) !== imageOf(wanted))
      found.push(`${serviceName} has ${imageOf(there)}, its stack ${imageOf(wanted)}`);
  }
  const left = tx.list("service", { by: "stackName", stackName: name });
  if (definition === undefined && left.length > 0)
    found.push(`stack ${name} went back to nothing, and is there`);
  return found;
}
