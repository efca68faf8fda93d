/**
 * Stacks, their progress, revisions, differences and plans in the shapes of proto/stack-api.ts. Pure.
 */
import type { Stack, StackRevision } from "../../proto/gen/skein/v1/objects.js";
import {
  RevisionOrigin,
  RevisionOutcome,
  StackPhase,
  StackServiceState as State,
} from "../../proto/gen/skein/v1/stack_types.js";
import type {
  StackChange as Change,
  DeployStackReply,
  StackReply,
  StackUpdate,
} from "../../proto/gen/skein/v1/stacks.js";
import type {
  RevisionSummary,
  StackAccepted,
  StackChange,
  StackPhaseWord,
  StackServiceState,
  StackState,
  StackSummary,
} from "../../proto/stack-api.js";
import { timeText } from "./shape.js";
import { definitionOut } from "./stack-definition-out.js";

const PHASES: Readonly<Record<string, StackPhaseWord>> = {
  [StackPhase.APPLYING]: "applying",
  [StackPhase.REACHED]: "reached",
  [StackPhase.GOING_BACK]: "going back",
  [StackPhase.WENT_BACK]: "went back",
  [StackPhase.STUCK]: "stuck",
  [StackPhase.REMOVING]: "removing",
};
const STATES: Readonly<Record<string, StackServiceState["State"]>> = {
  [State.WAITING]: "waiting",
  [State.APPLIED]: "applied",
  [State.UNCHANGED]: "unchanged",
  [State.REACHED]: "reached",
  [State.FAILED]: "failed",
  [State.REMOVED]: "removed",
};
const OUTCOMES: Readonly<Record<string, RevisionSummary["Outcome"]>> = {
  [RevisionOutcome.PENDING]: "pending",
  [RevisionOutcome.GOOD]: "good",
  [RevisionOutcome.FAILED]: "failed",
  [RevisionOutcome.SUPERSEDED]: "superseded",
};
const ORIGINS: Readonly<Record<string, RevisionSummary["Origin"]>> = {
  [RevisionOrigin.DEPLOY]: "deploy",
  [RevisionOrigin.ROLLBACK]: "rollback",
  [RevisionOrigin.OBSERVED]: "observed",
};
const KINDS = { network: "network", secret: "secret", config: "config", service: "service" } as const;
const ACTIONS = { add: "add", change: "change", replace: "replace", remove: "remove" } as const;

export function acceptedOut({ stack, revision, changed, warnings }: DeployStackReply): StackAccepted {
  return { Name: nameOf(stack), Revision: revision, Changed: changed, Warnings: [...warnings] };
}

export function summaryOut({ stack, counts }: StackReply): StackSummary {
  return {
    Name: nameOf(stack),
    ID: stack?.id ?? "",
    Services: counts?.services ?? 0,
    Running: counts?.running ?? 0,
    Desired: counts?.desired ?? 0,
    Revision: stack?.newestRevision ?? 0,
    GoodRevision: stack?.goodRevision ?? 0,
    Phase: phaseOf(stack),
  };
}

/** @param name what was asked for: a stack that is gone has none. */
export function stateOut(name: string, { stack, counts }: StackUpdate): StackState {
  const deployment = stack?.deployment;
  const phase = phaseOf(stack);
  return {
    Name: name,
    ID: stack?.id ?? "",
    ...(stack === undefined ? { Gone: true } : {}),
    Revision: stack?.newestRevision ?? 0,
    GoodRevision: stack?.goodRevision ?? 0,
    Phase: phase,
    Failure: deployment?.failure ?? "",
    ...(phase === "going back" || phase === "went back" ? { GoingBackTo: deployment?.goingBackTo ?? 0 } : {}),
    StartedAt: timeOrNone(deployment?.startedAtMs),
    EndedAt: timeOrNone(deployment?.endedAtMs),
    Services: servicesOut(stack, counts),
  };
}

/** Those of the deployment in its order; then those that it does not know. */
function servicesOut(stack: Stack | undefined, counts: StackUpdate["counts"]): StackServiceState[] {
  const byKey = new Map(counts.map((one) => [one.key, one]));
  const told = (stack?.deployment?.services ?? []).map((service) => {
    const found = byKey.get(service.key);
    byKey.delete(service.key);
    return {
      Key: service.key,
      Name: service.name,
      ServiceID: service.serviceId,
      State: STATES[service.state] ?? "waiting",
      Message: service.message,
      ...countsOut(found),
    };
  });
  const others = [...byKey.values()].map((found) => ({
    Key: found.key,
    Name: `${nameOf(stack)}_${found.key}`,
    ServiceID: "",
    State: "unchanged" as const,
    Message: "",
    ...countsOut(found),
  }));
  return [...told, ...others];
}

function countsOut(
  found: StackUpdate["counts"][number] | undefined,
): Pick<StackServiceState, "Running" | "Desired" | "Completed" | "Trouble"> {
  return {
    Running: found?.counts?.running ?? 0,
    Desired: found?.counts?.desired ?? 0,
    Completed: found?.counts?.completed ?? 0,
    Trouble: found?.trouble ?? "",
  };
}

/** @param whole with its definition. */
export function revisionOut(
  revision: StackRevision,
  { whole }: { readonly whole: boolean },
): RevisionSummary {
  const { definition } = revision;
  const files = [
    ...(definition?.secrets ?? []).map((file) => ({ kind: "secret", file })),
    ...(definition?.configs ?? []).map((file) => ({ kind: "config", file })),
  ].filter(({ file }) => file.version > 0);
  return {
    Number: revision.number,
    By: revision.madeBy,
    At: timeText(revision.madeAtMs),
    Changes: revision.changes,
    Outcome: OUTCOMES[revision.outcome] ?? "pending",
    Failure: revision.failure,
    Origin: ORIGINS[revision.origin] ?? "deploy",
    Restores: revision.restores,
    Images: Object.fromEntries(
      (definition?.services ?? []).map(({ key, spec }) => [key, spec?.task?.container?.image ?? ""]),
    ),
    Files: Object.fromEntries(
      files.map(({ kind, file }) => [`${kind} ${file.annotations?.name ?? file.key}`, file.version]),
    ),
    ...(whole && definition !== undefined ? { Definition: definitionOut(definition) } : {}),
  };
}

export function changesOut(changes: readonly Change[]): StackChange[] {
  return changes.map((change) => ({
    Kind: wordOf(KINDS, change.kind, "service"),
    Key: change.key,
    Action: wordOf(ACTIONS, change.action, "change"),
    Fields: change.fields.map(({ path, before, after }) => ({ Path: path, Before: before, After: after })),
    RestartsTasks: change.restartsTasks,
    Reason: change.reason,
  }));
}

/** @param otherwise for a word that a newer manager says. */
function wordOf<T extends string>(words: Readonly<Record<string, T>>, word: string, otherwise: T): T {
  return (Object.hasOwn(words, word) ? words[word] : undefined) ?? otherwise;
}

function nameOf(stack: Stack | undefined): string {
  return stack?.annotations?.name ?? "";
}

function phaseOf(stack: Stack | undefined): StackPhaseWord {
  const phase = stack?.deployment?.phase;
  return (phase === undefined ? undefined : PHASES[phase]) ?? "";
}

function timeOrNone(ms: number | undefined): string {
  return ms === undefined || ms === 0 ? "" : timeText(ms);
}
