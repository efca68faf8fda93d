/**
 * Makes this node what its assignments say: network first, then what must survive a restart, then tasks.
 * Pure over its collaborators. Invariants: one pass at a time;
 * the applied revision counts only what the network has taken; a task found with a container after a restart
 * goes on untouched, with or without a manager.
 */
import type { Clock } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { Backoff } from "../../base/loop/backoff.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import type { Random } from "../../base/random/random.js";
import type { AttachmentNews } from "../../net-overlay/attachments/manager-attachments.js";
import type { NetworkPlane, NodeNetworkIdentity } from "../../net-overlay/network-plane.js";
import {
  type AssignmentSet,
  type NodeResource,
  ResourceKind,
  type TaskStatusUpdate,
} from "../../proto/gen/skein/v1/dispatcher.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import type { Executor } from "../exec/controller.js";
import { rank } from "../exec/task-machine.js";
import type { AgentState, SavedAgent } from "../state/agent-state.js";
import { AssignmentBook, type BookChanges, keyText } from "./assignment-book.js";
import { DrainGate } from "./drain-gate.js";
import { type KnownCluster, knownCluster } from "./known-cluster.js";
import { networkIdentity } from "./network-identity.js";
import { StatusSaver } from "./status-saver.js";
import { TaskSet } from "./task-set.js";

export interface AssignmentApplierComponents {
  readonly executor: Executor;
  readonly network: NetworkPlane;
  readonly state: AgentState;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** What a manager should hear. */
  readonly onStatus: (update: TaskStatusUpdate) => void;
  /** A manager waits to hear that the network follows the revision: tasks were taken out of traffic. */
  readonly onDrainApplied: (revision: number) => void;
  /** Attachments of this node's containers that are no tasks. */
  readonly onAttachments: (news: AttachmentNews) => void;
}

export class AssignmentApplier {
  readonly tasks: TaskSet;
  readonly #components: AssignmentApplierComponents;
  readonly #book = new AssignmentBook();
  readonly #loop: ComponentLoop;
  readonly #drains: DrainGate;
  readonly #saver: StatusSaver;
  readonly #backoff: Backoff;
  /** Statuses from before the restart, of tasks not taken up yet. */
  readonly #saved = new Map<string, TaskStatusUpdate>();
  #node: Node | undefined;
  #identity: NodeNetworkIdentity | undefined;
  #appliedRevision = 0;
  /** A manager has spoken since the restart. */
  #told = false;
  #retained = false;
  /** Nothing is taken on any more. */
  #leaving = false;

  constructor(components: AssignmentApplierComponents) {
    this.#components = components;
    const { executor, state, clock, random, log } = components;
    this.#backoff = new Backoff(random, { initialMs: 100, maxMs: 5_000 });
    this.#loop = new ComponentLoop({ name: "agent apply", log, pass: () => this.#apply() });
    this.#saver = new StatusSaver(state, log);
    this.#drains = new DrainGate(clock, (taskId) => this.tasks.get(taskId)?.released());
    this.tasks = new TaskSet({
      executor,
      book: this.#book,
      clock,
      random,
      log,
      isHeld: (taskId) => this.#drains.holds(taskId),
      onStatus: (update) => {
        components.onStatus(update);
        this.#saver.save(update);
      },
      onGone: (taskId) => this.#saver.forget(taskId),
    });
  }

  /** Revision that network and tasks here follow. */
  get appliedRevision(): number {
    return this.#appliedRevision;
  }

  /** What this node has been told, for those who ask here. */
  readonly known: KnownCluster = knownCluster(this.#book, () => ({
    nodeId: this.#identity?.nodeId ?? "",
    address: this.#identity?.dataPathAddress ?? "",
  }));

  /** Newest whole revision that was received. */
  get revision(): number {
    return this.#book.revision;
  }

  /** Takes up what runs, as it was saved. Resolves when applied. */
  async adopt(saved: SavedAgent): Promise<void> {
    for (const update of saved.statuses) this.#saved.set(update.taskId, update);
    if (saved.revision === 0) return;
    const { revision, resources } = saved;
    this.#book.accept({
      complete: true,
      baseRevision: 0,
      revision,
      upserts: resources,
      removals: [],
      more: false,
    });
    this.#node = saved.node;
    this.#loop.wake();
    await this.#loop.idle();
  }

  /** A new session begins: what an older one left unfinished is void. */
  begin(): void {
    this.#book.begin();
  }

  /**
   * @throws {FailedPreconditionError} changes on a revision that is not here: the session must start anew.
   */
  accept(part: AssignmentSet): void {
    this.#drains.accept(part);
    if (!this.#book.accept(part)) return;
    this.#told = true;
    this.#loop.wake();
  }

  /** No node sends connections any more to what sets up to this revision stop. */
  drained(revision: number): void {
    this.#drains.drained(revision);
  }

  /** This node as the cluster sees it; its number decides its addresses. */
  setNode(node: Node | undefined): void {
    this.#node = node;
    this.#loop.wake();
  }

  /** Stops and removes all tasks; resolves when none is left. */
  async leave(): Promise<void> {
    this.#leaving = true;
    await this.#loop.idle();
    this.tasks.retain(new Set());
    await this.tasks.empty();
  }

  /** Stops driving; containers go on. */
  async close(): Promise<void> {
    await this.#loop.close();
    this.#drains.close();
    await this.tasks.close();
    await this.#saver.close();
  }

  async #apply(): Promise<void> {
    if (this.#leaving || !(await this.#configure())) return;
    const changes = this.#book.take();
    if (changes === undefined) return;
    const { network, state, log } = this.#components;
    let networkApplied = true;
    try {
      await network.apply(networkPart(changes));
      if (this.#drains.confirms(changes.revision)) this.#components.onDrainApplied(changes.revision);
    } catch (error) {
      networkApplied = false;
      log.error("network state not applied; trying again", {
        revision: changes.revision,
        error: messageOf(error),
      });
    }
    await state.saveResources({ ...changes, removals: changes.removals.map(keyText) });
    if (this.#told && !this.#retained) this.#retain(changes);
    this.#components.onAttachments(attachmentsIn(changes));
    this.#applyTasks(changes);
    if (this.#retained) this.#forgetSaved();
    if (networkApplied) {
      this.#backoff.reset();
      this.#appliedRevision = changes.revision;
    } else {
      this.#book.repeatAll();
      this.#retry();
    }
  }

  /** @returns whether the network knows who this node is: nothing can be applied before. */
  async #configure(): Promise<boolean> {
    const { network, log } = this.#components;
    const identity = networkIdentity(this.#node, this.#book.resources(), this.#identity);
    if (identity === this.#identity) return identity !== undefined;
    if (identity === undefined) return false;
    try {
      await network.configure(identity);
    } catch (error) {
      log.error("network not configured; trying again", { error: messageOf(error) });
      this.#retry();
      return false;
    }
    if (this.#identity !== undefined) this.#book.repeatAll();
    this.#identity = identity;
    return true;
  }

  #retry(): void {
    this.#components.clock.setTimer(this.#backoff.nextMs(), () => this.#loop.wake());
  }

  #applyTasks(changes: BookChanges): void {
    const tasks = changes.upserts.flatMap(({ resource }) =>
      resource?.$case === "task" && resource.value.attached === undefined ? [resource.value] : [],
    );
    for (const task of tasks) {
      const saved = this.#saved.get(task.id);
      // Before a manager has spoken, only what has a container is taken up: the rest may lack its secrets.
      if (!this.#told && rank(saved?.status?.state ?? TaskState.NEW) < rank(TaskState.READY)) continue;
      this.tasks.assign(task, saved);
      this.#saved.delete(task.id);
      if (saved !== undefined) this.#components.onStatus(saved); // it may never have reached a leader
    }
    if (changes.complete) this.tasks.retain(new Set(tasks.map((task) => task.id)));
    for (const key of changes.removals) if (key.kind === ResourceKind.TASK) this.tasks.unassign(key.id);
    this.tasks.told();
  }

  /**
   * Once, when a manager has said what is ours: what else was left from before goes.
   * Begun before new tasks are, so that nothing of theirs is taken for a leftover; not waited for, because
   * stopping a container may take its time.
   */
  #retain(changes: BookChanges): void {
    this.#retained = true;
    const ids = new Set(this.tasks.ids());
    for (const { resource } of changes.upserts) if (resource?.$case === "task") ids.add(resource.value.id);
    this.#components.executor.retain(ids).catch((error: unknown) => {
      this.#components.log.warn("leftovers not removed", { error: messageOf(error) });
    });
  }

  /** Statuses saved for tasks that no manager counts as ours. */
  #forgetSaved(): void {
    for (const taskId of this.#saved.keys()) this.#saver.forget(taskId);
    this.#saved.clear();
  }
}

/** They come as tasks, and have nothing to run. */
function attachmentsIn({ complete, upserts, removals }: BookChanges): AttachmentNews {
  return {
    complete,
    upserts: upserts.flatMap(({ resource }) => {
      const task = resource?.$case === "task" ? resource.value : undefined;
      const networkId = task?.networks[0]?.networkId;
      if (task?.attached === undefined || networkId === undefined) return [];
      return [{ id: task.id, containerId: task.attached.id, networkId }];
    }),
    removals: removals.flatMap(({ kind, id }) => (kind === ResourceKind.TASK ? [id] : [])),
  };
}

const NETWORK_CASES = new Set(["network", "endpoint", "service", "peer", "networkKey"]);
const NETWORK_KINDS = new Set<ResourceKind>([
  ResourceKind.NETWORK,
  ResourceKind.ENDPOINT,
  ResourceKind.SERVICE,
  ResourceKind.PEER,
  ResourceKind.NETWORK_KEY,
]);

function networkPart(changes: BookChanges): BookChanges {
  const isNetwork = ({ resource }: NodeResource): boolean =>
    resource !== undefined && NETWORK_CASES.has(resource.$case);
  return {
    ...changes,
    upserts: changes.upserts.filter(isNetwork),
    removals: changes.removals.filter((key) => NETWORK_KINDS.has(key.kind)),
  };
}
