/**
 * How far a service is on its way to its specification: whether its tasks run, whether all is done, whether
 * it will never be.
 * Pure. Invariants: nothing but the store, the time, and when tasks came to run decides; tasks of a former
 * specification count neither for nor against it. Cost: its tasks, once per change of one of them.
 */
import type { Node, Service, Task } from "../../../proto/gen/skein/v1/objects.js";
import {
  NodeAvailability,
  NodeState,
  type RestartPolicy,
  TaskState,
  UpdateState,
} from "../../../proto/gen/skein/v1/types.js";
import { mayRestart } from "../../orchestrator/restart-policy.js";
import { isDirty } from "../../orchestrator/spec-equality.js";
import {
  createdAtMs,
  endedByItself,
  isRunning,
  isTerminal,
  isWanted,
  newestFirst,
  observedState,
} from "../../orchestrator/task-state.js";
import { satisfiesPlacement } from "../../scheduler/constraint.js";
import { failedWords, missingWords, unplacedWords, updateWords } from "./failure-words.js";

/** Failures of one task's place until its service has failed, whatever its restart policy. */
const FAILURES_MAX = 3;
/** Milliseconds for which a task may have no place, or an image be refused, without anything changing. */
export const HOPELESS_AFTER_MS = 30_000;
/** What a task of a new service must have run for before its revision is good; as updates have it. */
const MONITOR_DEFAULT_MS = 5_000;

export interface JudgeInput {
  readonly service: Service;
  readonly tasks: readonly Task[];
  readonly nodes: readonly Node[];
  readonly nowMs: number;
  /** Tasks made before are not held against it. */
  readonly sinceMs: number;
  /** When the deployment last changed something: until a while after that the hopeless may find hope. */
  readonly quietSinceMs: number;
  /** It is being taken back: a rollback is what was meant. */
  readonly goingBack: boolean;
  /** When the leader saw the task run first. */
  readonly runningSinceMs: (taskId: string) => number | undefined;
}

export interface Verdict {
  /** All its tasks run as specified; of a job: some run or have completed. */
  readonly runs: boolean;
  /** Tasks that run are healthy by a check; undefined: one of them has none. */
  readonly hasHealth: boolean;
  /** All its tasks have ended well. */
  readonly completed: boolean;
  /** It runs, or has completed, and no update is under way. */
  readonly reached: boolean;
  /** Reached, and for as long as it takes to believe it. */
  readonly settled: boolean;
  /** Why it will not be reached; "": it may. */
  readonly failure: string;
  /** What is missing, in words. */
  readonly message: string;
  /** The verdict may be another from then on, though nothing changes. */
  readonly wakeAtMs: number | undefined;
}

type Mode = "service" | "job";

/** One place for a task: a slot, or a node. */
interface Place {
  /** Of the present specification, newest first. */
  readonly clean: readonly Task[];
  readonly isServed: boolean;
  readonly isCompleted: boolean;
  /** A task of a former specification is still there. */
  readonly isStale: boolean;
}

class Judgement {
  readonly input: JudgeInput;
  readonly mode: Mode;
  readonly #nodes: ReadonlyMap<string, Node>;
  failure = "";
  wakeAtMs: number | undefined;

  constructor(input: JudgeInput) {
    this.input = input;
    const mode = input.service.spec?.mode?.$case;
    this.mode = mode === "replicatedJob" || mode === "globalJob" ? "job" : "service";
    this.#nodes = new Map(input.nodes.map((node) => [node.id, node]));
  }

  node(id: string): Node | undefined {
    return this.#nodes.get(id);
  }

  wakeAt(atMs: number): void {
    this.wakeAtMs = Math.min(this.wakeAtMs ?? Number.POSITIVE_INFINITY, atMs);
  }

  fail(words: string): void {
    this.failure ||= words;
  }
}

export function judgeService(input: JudgeInput): Verdict {
  const judgement = new Judgement(input);
  const { service } = input;
  const places = placesOf(judgement);
  const wanted = wantedPlaces(judgement, places);
  const isStale = [...places.values()].some((place) => place.isStale);
  const surplus = [...places].some(([key, place]) => place.isServed && !wanted.has(key));
  const list = [...wanted].map((key) => places.get(key));
  const served = list.filter((place) => place?.isServed === true).length;
  const completed = list.filter((place) => place?.isCompleted === true).length;
  for (const place of places.values()) judgePlace(judgement, place);
  judgeUpdate(judgement);
  const all = !isStale && served + completed >= wanted.size;
  const isCompleted = all && completed >= wanted.size && (wanted.size > 0 || judgement.mode === "job");
  const runs = all && !surplus;
  const reached = judgement.mode === "job" ? isCompleted : runs && !isUpdating(service);
  return {
    runs,
    hasHealth: list.every((place) => place?.clean.every(hasHealth) !== false),
    completed: isCompleted,
    reached,
    settled: reached && isSettled(judgement, list),
    failure: judgement.failure,
    message: reached ? "" : missingWords({ ...judgement, wanted: wanted.size, served, completed }),
    wakeAtMs: judgement.wakeAtMs,
  };
}

function hasHealth(task: Task): boolean {
  return !isRunning(task) || (task.status?.health ?? "") !== "";
}

function isUpdating({ updateStatus }: Service): boolean {
  return updateStatus?.state === UpdateState.UPDATING || updateStatus?.state === UpdateState.ROLLBACK_STARTED;
}

/** The places of the present iteration, by slot, or by node of a global service. */
function placesOf(judgement: Judgement): ReadonlyMap<number | string, Place> {
  const { service, tasks } = judgement.input;
  const iteration = service.jobStatus?.iteration ?? 0;
  const mode = service.spec?.mode?.$case;
  const groups = new Map<number | string, Task[]>();
  for (const task of tasks) {
    if (judgement.mode === "job" && task.jobIteration !== iteration) continue;
    const key = mode === "global" || mode === "globalJob" ? task.nodeId : task.slot;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [task]);
    else group.push(task);
  }
  return new Map([...groups].map(([key, group]) => [key, placeOf(judgement, group)] as const));
}

function placeOf(judgement: Judgement, tasks: readonly Task[]): Place {
  const { service } = judgement.input;
  const sorted = newestFirst(tasks);
  const clean = sorted.filter((task) => !isDirty(task, service, judgement.node(task.nodeId)));
  const newest = clean[0];
  const isHere = ({ nodeId }: Task): boolean => judgement.node(nodeId)?.status?.state !== NodeState.DOWN;
  const isDone =
    judgement.mode === "job"
      ? clean.some((task) => observedState(task) === TaskState.COMPLETE)
      : newest !== undefined && observedState(newest) === TaskState.COMPLETE && !mayRestart(newest, sorted);
  return {
    clean,
    isServed: clean.some((task) => isWanted(task) && isRunning(task) && isHere(task)),
    isCompleted: isDone,
    isStale: sorted.some((task) => isWanted(task) && !isTerminal(task) && !clean.includes(task)),
  };
}

/** The places that are to be served. */
function wantedPlaces(
  { input }: Judgement,
  places: ReadonlyMap<number | string, Place>,
): ReadonlySet<number | string> {
  const spec = input.service.spec;
  switch (spec?.mode?.$case) {
    case "replicated": {
      // which slots they are is the orchestrator's choice
      const { replicas } = spec.mode.value;
      const alive = [...places].filter(([, { clean }]) => clean.some((task) => isWanted(task)));
      const known = [...places].filter(
        ([, place]) => place.isCompleted && !alive.some(([, a]) => a === place),
      );
      const keys = [...alive, ...known].map(([key]) => key).slice(0, replicas);
      return filled(keys, replicas);
    }
    case "replicatedJob": {
      const { totalCompletions, maxConcurrent } = spec.mode.value;
      const total = totalCompletions || maxConcurrent || 1;
      return new Set(Array.from({ length: total }, (_, slot) => slot));
    }
    default: {
      const takes = (node: Node): boolean =>
        node.status?.state !== NodeState.DOWN &&
        (node.spec?.availability ?? NodeAvailability.ACTIVE) === NodeAvailability.ACTIVE &&
        satisfiesPlacement(node, spec?.task?.placement);
      return new Set(input.nodes.filter(takes).map(({ id }) => id));
    }
  }
}

/** As many places as are wanted: those there are, and some that are not yet. */
function filled(keys: readonly (number | string)[], count: number): ReadonlySet<number | string> {
  const set = new Set(keys);
  for (let at = 0; set.size < count; at++) set.add(`missing ${at}`);
  return set;
}

/** Notes why the place will never be served. */
function judgePlace(judgement: Judgement, place: Place): void {
  const { input } = judgement;
  if (place.isServed || place.isCompleted) return;
  const { clean } = place;
  const newest = clean[0];
  if (newest === undefined) return;
  const failures = clean.filter((task) => isFailure(task) && isOurs(input, task));
  const [last] = failures;
  const policy: RestartPolicy | undefined = newest.spec?.restart;
  const limited = judgement.mode === "job" && (policy?.maxAttempts ?? 0) > 0;
  if (last !== undefined) {
    const words = (): string => failedWords(last, judgement.node(last.nodeId), failures.length);
    if (failures.length >= FAILURES_MAX && !limited) judgement.fail(words());
    else if (newest === last && endedByItself(last) && !mayRestart(last, clean)) judgement.fail(words());
    else if (isImageRefused(last)) {
      const first = failures.findLast(isImageRefused) ?? last;
      hopelessAfter(judgement, createdAtMs(first), words);
    }
  }
  for (const wait of newest.waits) {
    if (wait.untilMs !== 0 || isTerminal(newest)) continue;
    if (wait.cause === "no-suitable-node" || wait.cause === "no-address")
      hopelessAfter(judgement, wait.sinceMs, () => unplacedWords(newest, wait));
  }
}

function hopelessAfter(judgement: Judgement, sinceMs: number, words: () => string): void {
  const { nowMs, quietSinceMs } = judgement.input;
  const atMs = Math.max(sinceMs, quietSinceMs) + HOPELESS_AFTER_MS;
  if (nowMs >= atMs) judgement.fail(words());
  else judgement.wakeAt(atMs);
}

function isFailure(task: Task): boolean {
  const state = observedState(task);
  return state === TaskState.FAILED || state === TaskState.REJECTED;
}

function isOurs({ sinceMs }: JudgeInput, task: Task): boolean {
  return createdAtMs(task) >= sinceMs;
}

/** Causes of a refusal that trying again will not change. Source: `worker/exec/failure-cause.ts`. */
const REFUSED_FOR_GOOD: ReadonlySet<string> = new Set([
  "image-not-found",
  "image-damaged",
  "registry-unauthenticated",
  "invalid-specification",
]);

function isImageRefused(task: Task): boolean {
  return observedState(task) === TaskState.REJECTED && REFUSED_FOR_GOOD.has(task.status?.cause ?? "");
}

function judgeUpdate(judgement: Judgement): void {
  const { service, goingBack, sinceMs } = judgement.input;
  const status = service.updateStatus;
  switch (status?.state) {
    case UpdateState.PAUSED:
    case UpdateState.ROLLBACK_PAUSED:
      judgement.fail(updateWords(status.message) || "its update is paused");
      return;
    case UpdateState.ROLLBACK_STARTED:
      if (!goingBack) judgement.fail(updateWords(status.message) || "its update was rolled back");
      return;
    case UpdateState.ROLLBACK_COMPLETED:
      // nobody may have looked while it went on: the leader may be another by now
      if (!goingBack && status.startedAtMs >= sinceMs)
        judgement.fail(updateWords(status.message) || "its update was rolled back");
      return;
    default:
      return;
  }
}

/** An update has watched its tasks already; those of a new service are watched here. */
function isSettled(judgement: Judgement, places: readonly (Place | undefined)[]): boolean {
  if (judgement.mode === "job" || judgement.input.goingBack) return true;
  const { service, nowMs, runningSinceMs } = judgement.input;
  const monitorMs = service.spec?.update?.monitorMs ?? MONITOR_DEFAULT_MS;
  let settled = true;
  for (const place of places) {
    const task = place?.clean.find((candidate) => isWanted(candidate) && isRunning(candidate));
    if (task === undefined) continue;
    const atMs = (runningSinceMs(task.id) ?? task.meta?.updatedAtMs ?? 0) + monitorMs;
    if (nowMs >= atMs) continue;
    settled = false;
    judgement.wakeAt(atMs);
  }
  return settled;
}
