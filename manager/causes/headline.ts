/**
 * The one sentence about a service: how much of it is there, and why the rest is not.
 * Pure.
 */
import type { ServiceCounts } from "../../proto/gen/skein/v1/control.js";
import type { Node, Service } from "../../proto/gen/skein/v1/objects.js";
import { UpdateState } from "../../proto/gen/skein/v1/types.js";
import { NAMES_MAX, type Sentence, someOf } from "./cause-view.js";
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

/** Slots that miss for the same reason. */
interface Reason extends Sentence {
  /** The first of them. */
  readonly names: string[];
  count: number;
}

/** Different reasons that are kept apart; what comes later is counted among the missing only. */
const REASONS_KEPT_MAX = 1_000;
/** Times and lengths of time: reasons that differ by them alone are the same. */
const TIMES = /\b\d\d:\d\d:\d\d UTC\b|\b\d+(\.\d+)? (ms|s|min|h|d)\b( \d+ (s|min|h)\b)?/g;

/** Gathers why slots miss. Bound: REASONS_KEPT_MAX. */
export class Gaps {
  count = 0;
  readonly #byKey = new Map<string, Reason>();

  add({ name, ...said }: Gap): void {
    this.count += 1;
    const key = said.text.replace(TIMES, "");
    const reason = this.#byKey.get(key);
    if (reason === undefined) {
      if (this.#byKey.size < REASONS_KEPT_MAX) this.#byKey.set(key, { ...said, names: [name], count: 1 });
    } else {
      reason.count += 1;
      if (reason.names.length < NAMES_MAX) reason.names.push(name);
    }
  }

  /** The most frequent first. */
  reasons(): readonly Reason[] {
    return [...this.#byKey.values()].sort((a, b) => b.count - a.count);
  }
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
  gaps: Gaps,
): Headline {
  const { service } = input;
  const name = service.spec?.annotations?.name || service.id;
  if (service.pendingDelete) {
    const text = `${name} was removed; it goes when its tasks have stopped`;
    return { cause: "removing", text, advice: [] };
  }
  const reasons = gaps.reasons();
  const advice = [...new Set(reasons.map((reason) => reason.advice).filter((each) => each !== ""))];
  const there = `${presence(service, name, counts)}${underWay(service)}`;
  const missing = gaps.count === 0 ? "" : `; ${gaps.count} missing. ${told(reasons).join(". ")}`;
  const update = service.updateStatus;
  const state = update?.state;
  if (state === UpdateState.PAUSED || state === UpdateState.ROLLBACK_PAUSED) {
    return {
      cause: "update-paused",
      text: `${there}; ${update?.message || "its update is paused"}${missing}`,
      advice: advice.slice(0, ADVICE_MAX),
    };
  }
  if (gaps.count > 0) {
    const cause = reasons[0]?.cause ?? "";
    return { cause, text: `${there}${missing}`, advice: advice.slice(0, ADVICE_MAX) };
  }
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

/** "web.2 and web.3: waits for a node: …" */
function told(reasons: readonly Reason[]): readonly string[] {
  const first = reasons
    .slice(0, REASONS_MAX)
    .map(({ text, names, count }) => `${someOf(names, count)}: ${text}`);
  const left = reasons.length - first.length;
  return left === 0 ? first : [...first, `${left} more reasons below`];
}
