/**
 * The one sentence about a service: how much of it is there, and why the rest is not.
 * Pure.
 */
import type { ServiceCounts } from "../../proto/gen/skein/v1/control.js";
import type { Node, Service } from "../../proto/gen/skein/v1/objects.js";
import { UpdateState } from "../../proto/gen/skein/v1/types.js";
import { type Sentence, someOf } from "./cause-view.js";
import type { CauseWord } from "./cause-words.js";
import { namedUnavailable } from "./unplaced-words.js";

/** Reasons told one by one; the rest is counted. */
const REASONS_MAX = 3;
const ADVICE_MAX = 5;

/** A slot that should serve and does not. */
export interface Gap extends Sentence {
  /** web.2 */
  readonly name: string;
}

export interface Headline {
  /** "": nothing is missing. */
  readonly cause: CauseWord | "";
  readonly text: string;
  readonly advice: readonly string[];
}

export function headlineOf(
  input: { readonly service: Service; readonly nodes: readonly Node[] },
  counts: ServiceCounts,
  gaps: readonly Gap[],
): Headline {
  const { service } = input;
  const name = service.spec?.annotations?.name || service.id;
  if (service.pendingDelete) {
    const text = `${name} was removed; it goes when its tasks have stopped`;
    return { cause: "removing", text, advice: [] };
  }
  const reasons = reasonsOf(gaps);
  const advice = [...new Set(gaps.map((gap) => gap.advice).filter((each) => each !== ""))];
  const there = `${presence(service, name, counts)}${underWay(service)}`;
  const missing = gaps.length === 0 ? "" : `; ${gaps.length} missing. ${reasons.join(". ")}`;
  const update = service.updateStatus;
  const state = update?.state;
  if (state === UpdateState.PAUSED || state === UpdateState.ROLLBACK_PAUSED) {
    return {
      cause: "update-paused",
      text: `${there}; ${update?.message || "its update is paused"}${missing}`,
      advice: advice.slice(0, ADVICE_MAX),
    };
  }
  if (gaps.length > 0)
    return { cause: mostFrequent(gaps), text: `${there}${missing}`, advice: advice.slice(0, ADVICE_MAX) };
  return without(input, counts, { name, there });
}

/** "; update in progress" */
function underWay({ updateStatus }: Service): string {
  const state = updateStatus?.state;
  const isUnderWay = state === UpdateState.UPDATING || state === UpdateState.ROLLBACK_STARTED;
  return isUnderWay && updateStatus?.message ? `; ${updateStatus.message}` : "";
}

/** "1 of 3 tasks of web run" */
function presence(service: Service, name: string, { running, desired, completed }: ServiceCounts): string {
  switch (service.spec?.mode?.$case) {
    case "replicatedJob": {
      const total = service.spec.mode.value.totalCompletions || service.spec.mode.value.maxConcurrent || 1;
      return `${completed} of ${total} tasks of ${name} have completed, ${running} run`;
    }
    case "globalJob":
      return `${completed} tasks of ${name} have completed, ${running} run`;
    default:
      return `${running} of ${desired} tasks of ${name} run`;
  }
}

function without(
  { service, nodes }: { readonly service: Service; readonly nodes: readonly Node[] },
  counts: ServiceCounts,
  { name, there }: { readonly name: string; readonly there: string },
): Headline {
  const mode = service.spec?.mode;
  if (mode?.$case === "replicated" && mode.value.replicas === 0) {
    const text = `${name} asks for no tasks`;
    return { cause: "no-replicas", text, advice: [`docker service scale ${name}=1`] };
  }
  if (mode?.$case === "global" && counts.desired === 0) {
    const named = namedUnavailable(nodes);
    const constraints = service.spec?.task?.placement?.constraints ?? [];
    const why =
      nodes.length === 0
        ? "the cluster has no node"
        : [named, constraints.length === 0 ? undefined : `a node must meet ${constraints.join(" and ")}`]
            .filter((each) => each !== undefined)
            .join("; ") || "no node is ready";
    return { cause: "no-node-takes-it", text: `no node takes ${name}: ${why}`, advice: [] };
  }
  if (mode?.$case === "replicated" && counts.running < counts.desired) {
    const text = `${there}; the others are not made yet`;
    return { cause: "create", text, advice: [] };
  }
  return { cause: "", text: there, advice: [] };
}

/** "web.2 and web.3: waits for a node: …", the most frequent first. */
function reasonsOf(gaps: readonly Gap[]): readonly string[] {
  const groups = new Map<string, string[]>();
  for (const { name, text } of gaps) {
    const group = groups.get(text);
    if (group === undefined) groups.set(text, [name]);
    else group.push(name);
  }
  const sorted = [...groups].sort(([, a], [, b]) => b.length - a.length);
  const told = sorted.slice(0, REASONS_MAX).map(([text, names]) => `${someOf(names)}: ${text}`);
  const left = sorted.length - told.length;
  return left === 0 ? told : [...told, `${left} more reasons below`];
}

function mostFrequent(gaps: readonly Gap[]): CauseWord | "" {
  const counts = new Map<CauseWord, number>();
  for (const { cause } of gaps) counts.set(cause, (counts.get(cause) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? "";
}
