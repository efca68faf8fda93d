/**
 * Chooses nodes for tasks: the best node that every filter accepts, in the order of ranking.ts.
 * Pure, save that placements are noted in the node set.
 * Cost: a task takes O(log nodes) when its kind was seen before, else O(nodes) once. Tasks of services that
 * run on few nodes share the order of all nodes, or of those that fit their kind; the others have one per
 * service.
 */
import { Task } from "../../proto/gen/skein/v1/objects.js";
import {
  type FilterRefusal,
  type GenericResource,
  PlacementStrategy,
} from "../../proto/gen/skein/v1/types.js";
import { isWanted } from "../orchestrator/task-state.js";
import { type FilterContext, FilterPipeline } from "./filter.js";
import { readiness } from "./node-filters.js";
import { genericHeld, type Held, hostPortsOf, type NodeInfo, reservationsOf } from "./node-info.js";
import type { NodeSet } from "./node-set.js";
import type { Ranking, RankingOptions } from "./ranking.js";
import { RankingCache, rankingKey } from "./ranking-cache.js";
import { assignGeneric } from "./room-filters.js";

export interface Placed {
  readonly kind: "placed";
  readonly task: Task;
  readonly nodeId: string;
  readonly generic: readonly GenericResource[];
}

export interface Unplaced {
  readonly kind: "unplaced";
  readonly task: Task;
  readonly reason: string;
  readonly refusals: readonly FilterRefusal[];
  readonly pipeline: FilterPipeline;
}

export interface PlacerOptions {
  /** What services without a choice of their own get. @default spread */
  readonly strategy?: PlacementStrategy;
  readonly networkDriver?: FilterContext["networkDriver"];
  readonly encryptedNetwork?: FilterContext["encryptedNetwork"];
}

/** What of a task decides where it may go. */
interface Kind {
  readonly task: Task;
  readonly ports: string;
  readonly pipeline: FilterPipeline;
  readonly binPack: boolean;
  readonly preferences: readonly string[];
  /** It asks for something that few nodes may have: the order of all nodes is of no use. */
  readonly isSelective: boolean;
  /** The order for a service that is on none of the nodes that fit, and the one for its own. */
  readonly shared: RankingOptions & { readonly key: string };
  readonly own: RankingOptions & { readonly key: string };
}

/** A service on more nodes than this has an order of its own. */
const SHARED_SPREAD_MAX = 8;
/** Nodes looked at in a shared order before one is made for the kind. */
const WALK_MAX = 24;
const SELECTIVE: ReadonlySet<string> = new Set([
  "platform",
  "constraint",
  "volume",
  "plugin",
  "device",
  "encryption",
]);

const NO_ORDER: RankingOptions = { serviceId: "", binPack: false, preferences: [] };
const NO_TASK = Task.fromPartial({});

function contextOf(set: NodeSet, options: PlacerOptions): FilterContext {
  const { networkDriver = () => undefined, encryptedNetwork = () => undefined } = options;
  return { set, networkDriver, encryptedNetwork };
}

export class Placer {
  readonly set: NodeSet;
  #options: PlacerOptions;
  #context: FilterContext;
  readonly #everyNode: FilterPipeline;
  readonly #rankings: RankingCache;
  #last: Kind | undefined;

  constructor(set: NodeSet, options: PlacerOptions = {}) {
    this.set = set;
    this.#options = options;
    this.#context = contextOf(set, options);
    this.#rankings = new RankingCache(set);
    this.#everyNode = new FilterPipeline(NO_TASK, this.#context, [readiness]);
  }

  /** Gives the task a node and notes it there, or says why not. One that names its node gets that or none. */
  place(task: Task): Placed | Unplaced {
    const kind = this.#kindOf(task);
    if (task.nodeId !== "") return this.#placeGiven(task, kind);
    const info = this.#choose(task, kind);
    if (info !== undefined) return this.#take(task, info);
    const { reason, refusals } = this.#shared(kind).explain();
    return { kind: "unplaced", task, reason, refusals, pipeline: kind.pipeline };
  }

  /** From now on; what was prepared is forgotten. */
  configure(options: PlacerOptions): void {
    this.#options = options;
    this.#context = contextOf(this.set, options);
    this.#rankings.clear();
    this.#last = undefined;
  }

  /** Reads what happened to the nodes by now, so that the next task does not pay for all of it. */
  keepUp(): void {
    this.#all();
  }

  /** Tasks that come one after the other are mostly of one kind. */
  #kindOf(task: Task): Kind {
    const ports = hostPortsOf(task).join();
    const last = this.#last;
    const version = task.specVersion?.index ?? 0;
    if (
      last !== undefined &&
      last.task.serviceId === task.serviceId &&
      last.ports === ports &&
      (last.task.spec === task.spec || (version !== 0 && last.task.specVersion?.index === version))
    ) {
      return last;
    }
    const placement = task.spec?.placement;
    const pipeline = new FilterPipeline(task, this.#context);
    let strategy = placement?.strategy ?? PlacementStrategy.DEFAULT;
    if (strategy === PlacementStrategy.DEFAULT) strategy = this.#options.strategy ?? strategy;
    const binPack = strategy === PlacementStrategy.BIN_PACK;
    const preferences = placement?.spreadPreferences ?? [];
    const shared = { serviceId: "", binPack, preferences: [] };
    const own = { serviceId: task.serviceId, binPack, preferences };
    const kind = {
      task,
      ports,
      pipeline,
      binPack,
      preferences,
      shared: { ...shared, key: rankingKey(pipeline, shared) },
      own: { ...own, key: rankingKey(pipeline, own) },
      isSelective: pipeline.filters.some(({ name }) => SELECTIVE.has(name)),
    };
    this.#last = kind;
    return kind;
  }

  #placeGiven(task: Task, { pipeline }: Kind): Placed | Unplaced {
    const info = this.set.get(task.nodeId);
    if (info === undefined) {
      const reason = `no suitable node (node ${task.nodeId} is not in the cluster)`;
      return { kind: "unplaced", task, reason, refusals: [], pipeline };
    }
    const filter = pipeline.refusedBy(info, task.replacesTaskId);
    if (filter < 0) return this.#take(task, info);
    const counts = pipeline.filters.map((_, at) => (at === filter ? 1 : 0));
    return { kind: "unplaced", task, ...pipeline.explain(counts), pipeline };
  }

  #choose(task: Task, kind: Kind): NodeInfo | undefined {
    const held = task.replacesTaskId === "" ? undefined : this.set.nodeOf(task.replacesTaskId);
    // a predecessor that ends leaves its place to this task; only where that matters is it looked at
    const given =
      held !== undefined && kind.pipeline.accepts(held, task.replacesTaskId) && !kind.pipeline.accepts(held)
        ? held
        : undefined;
    if (kind.preferences.length > 0) {
      const own = this.#own(kind);
      return given === undefined ? own.best() : own.bestExcept(task.replacesTaskId, given);
    }
    const best = this.#best(kind);
    if (given === undefined) return best;
    return best === undefined ? given : this.#own(kind).bestExcept(task.replacesTaskId, given);
  }

  #best(kind: Kind): NodeInfo | undefined {
    const { serviceId } = kind.task;
    const { nowMs } = this.set;
    const isGood = (info: NodeInfo): boolean =>
      (kind.binPack || info.serviceCount(serviceId) === 0) && !info.isFailing(serviceId, nowMs);
    const isShared = kind.binPack || this.set.spreadOf(serviceId) <= SHARED_SPREAD_MAX;
    if (isShared && !kind.isSelective && !kind.binPack) {
      const { found } = this.#all().walk(WALK_MAX, (info) => isGood(info) && kind.pipeline.accepts(info));
      if (found !== undefined) return found;
    }
    const shared = this.#shared(kind);
    if (shared.size === 0) return undefined;
    if (isShared) {
      const { found } = shared.walk(WALK_MAX, isGood);
      if (found !== undefined) return found;
    }
    return this.#own(kind).best();
  }

  #take(task: Task, info: NodeInfo): Placed {
    const generic = assignGeneric(task, info);
    this.set.place(task.id, info, holdingHere(task, generic));
    return { kind: "placed", task, nodeId: info.id, generic };
  }

  /** Every node that takes tasks at all. */
  #all(): Ranking {
    return this.#rankings.get("", this.#everyNode, NO_ORDER);
  }

  #shared({ pipeline, shared }: Kind): Ranking {
    return this.#rankings.get(shared.key, pipeline, shared);
  }

  #own({ pipeline, own }: Kind): Ranking {
    return this.#rankings.get(own.key, pipeline, own);
  }
}

/** What the task will hold of the node it gets. */
function holdingHere(task: Task, assigned: readonly GenericResource[]): Held {
  return {
    serviceId: task.serviceId,
    wanted: isWanted(task),
    resources: reservationsOf(task),
    ports: hostPortsOf(task),
    generic: genericHeld(assigned),
  };
}

/** All tasks at once, with those of one service and specification together. */
export function placeTasks(
  set: NodeSet,
  tasks: readonly Task[],
  options: PlacerOptions = {},
): { readonly placed: readonly Placed[]; readonly unplaced: readonly Unplaced[] } {
  const placer = new Placer(set, options);
  const placed: Placed[] = [];
  const unplaced: Unplaced[] = [];
  for (const task of tasks) {
    const result = placer.place(task);
    if (result.kind === "placed") placed.push(result);
    else unplaced.push(result);
  }
  return { placed, unplaced };
}
