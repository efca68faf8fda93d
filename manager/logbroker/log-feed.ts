/**
 * One subscription: which nodes were asked, which have answered, what is missing.
 * Pure. Per node: wanted > asked > answered, or missing with a reason. A node that was missing from a feed
 * that follows is asked again when it is back, from behind the last line that came of each task.
 * Invariants: a one-off feed ends when no node is wanted or asked any more, and each of those states has a
 * deadline; no line comes twice, whatever breaks: what was asked before counts no more once it is asked anew.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import {
  type LogBatch,
  LogMessage,
  LogOptions,
  type LogSelector,
  type LogSubscription,
  type PublishedLogs,
} from "../../proto/gen/skein/v1/logs.js";
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState } from "../../proto/gen/skein/v1/types.js";
import type { NodeListener } from "../reach/node-listeners.js";
import { shortTaskName } from "../reach/short-task-name.js";
import type { Publication } from "./log-broker.js";
import { TASKS_TAKEN_MAX, TakenLines } from "./taken-lines.js";

/** Milliseconds a node that should be there has to come and listen. */
export const LISTENER_WAIT_MS = 3_000;
/** Milliseconds without a word from a node that was asked for what it has. */
export const ANSWER_WAIT_MS = 10_000;
/** Tasks named in a line about what is missing. */
const NAMES_SHOWN_MAX = 8;
/** Before a node is asked again that listens, but broke off. */
export const AGAIN_MS = 1_000;

/** Of a subscription as nodes know it: the feed, and how many times the node was asked. */
function subscriptionId(feedId: string, asked: number): string {
  return `${feedId}.${asked}`;
}

export function feedIdOf(subscription: string): string {
  return subscription.split(".")[0] ?? "";
}

/** The reader's stream without its transport. */
export interface LogOutput {
  /** @returns false when the transport asks to wait for `drained`. */
  write(batch: LogBatch): boolean;
  end(error?: Error): void;
}

export interface LogFeedOptions {
  readonly id: string;
  readonly selector: LogSelector;
  readonly options: LogOptions | undefined;
  readonly output: LogOutput;
  readonly clock: Clock;
  readonly listener: (nodeId: string) => NodeListener | undefined;
  readonly node: (nodeId: string) => Node | undefined;
  readonly task: (taskId: string) => Task | undefined;
  readonly onEnded: () => void;
}

/** What is known of a task for as long as its service is followed. */
interface FollowedTask {
  readonly id: string;
  readonly serviceId: string;
  readonly nodeId: string;
  readonly name: string;
}

interface Source {
  state: "wanted" | "asked" | "answered" | "missing";
  /** The newest of them last; beyond the bound the oldest is forgotten. */
  readonly tasks: Map<string, FollowedTask>;
  deadline: Timer | undefined;
  /** How many times, and first when; the publication of an earlier time is void. */
  asked: number;
  askedAtMs: number;
}

export class LogFeed {
  readonly selector: LogSelector;
  readonly follow: boolean;
  readonly #options: LogFeedOptions;
  readonly #logOptions: LogOptions;
  readonly #sources = new Map<string, Source>();
  readonly #taken = new TakenLines();
  #resume: (() => void)[] = [];
  #blocked = false;
  #ended = false;

  constructor(options: LogFeedOptions) {
    this.#options = options;
    this.selector = options.selector;
    const given = options.options ?? LogOptions.create({ tail: -1, stdout: true, stderr: true });
    this.#logOptions = given.stdout || given.stderr ? given : { ...given, stdout: true, stderr: true };
    this.follow = this.#logOptions.follow;
  }

  /** Selected tasks; nodes not asked yet are asked. */
  include(tasks: readonly Task[]): void {
    for (const task of tasks) {
      const source = this.#sources.get(task.nodeId) ?? {
        state: "wanted",
        tasks: new Map<string, FollowedTask>(),
        deadline: undefined,
        asked: 0,
        askedAtMs: 0,
      };
      const { id, serviceId, nodeId } = task;
      source.tasks.set(id, { id, serviceId, nodeId, name: shortTaskName(task) });
      const [oldest] = source.tasks.keys();
      if (source.tasks.size > TASKS_TAKEN_MAX && oldest !== undefined) source.tasks.delete(oldest);
      if (this.#sources.has(task.nodeId)) continue;
      this.#sources.set(task.nodeId, source);
      this.#ask(task.nodeId, source);
    }
    this.#endWhenAnswered();
  }

  /** A node's agent listens here now. */
  listening(nodeId: string): void {
    const source = this.#sources.get(nodeId);
    if (source === undefined) return;
    if (source.state === "wanted" || (this.follow && source.state === "missing")) this.#ask(nodeId, source);
  }

  nodesChanged(): void {
    for (const [nodeId, source] of this.#sources) {
      if (source.state !== "wanted" && source.state !== "asked") continue;
      if (this.#isDown(nodeId)) this.#miss(nodeId, source, "is down");
    }
    this.#endWhenAnswered();
  }

  /** @returns undefined when that is not what the node was asked last. */
  publication(nodeId: string, subscription: string): Publication | undefined {
    const source = this.#sources.get(nodeId);
    const isCurrent = (): boolean =>
      source !== undefined && subscription === subscriptionId(this.#options.id, source.asked);
    if (source === undefined || this.#ended || !isCurrent()) return undefined;
    return {
      receive: (logs) => (isCurrent() ? this.#receive(nodeId, source, logs) : true),
      onResume: (listener) => {
        if (this.#blocked) this.#resume.push(listener);
        else listener();
      },
      closed: () => {
        if (source.state !== "asked" || !isCurrent()) return;
        this.#miss(nodeId, source, "broke off");
        this.#askAgain(nodeId, source);
        this.#endWhenAnswered();
      },
    };
  }

  drained(): void {
    this.#blocked = false;
    const resume = this.#resume;
    this.#resume = [];
    for (const listener of resume) listener();
    // Whoever was held back has its whole time to answer again.
    for (const [nodeId, source] of this.#sources) if (source.state === "asked") this.#expect(nodeId, source);
  }

  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const [nodeId, source] of this.#sources) {
      source.deadline?.cancel();
      if (source.state === "asked" || (this.follow && source.asked > 0))
        this.#options.listener(nodeId)?.send(this.#subscription(source, true));
    }
    for (const listener of this.#resume) listener();
    this.#options.output.end(error);
    this.#options.onEnded();
  }

  #ask(nodeId: string, source: Source): void {
    const listener = this.#options.listener(nodeId);
    if (listener !== undefined) {
      const isBack = source.state === "missing";
      source.state = "asked";
      source.asked += 1;
      if (source.asked === 1) source.askedAtMs = this.#options.clock.nowMs();
      if (isBack)
        this.#warn(source, `logs of ${namesOf(source)} go on: node ${this.#nameOf(nodeId)} is back`);
      listener.send(this.#subscription(source, false));
      this.#expect(nodeId, source);
      return;
    }
    source.state = "wanted";
    if (this.#isDown(nodeId)) {
      this.#miss(nodeId, source, "is down");
      return;
    }
    source.deadline = this.#options.clock.setTimer(LISTENER_WAIT_MS, () => {
      if (source.state === "wanted") this.#miss(nodeId, source, "does not answer");
      this.#endWhenAnswered();
    });
  }

  /** A node whose stream broke while its ear stayed open will not come and listen anew. */
  #askAgain(nodeId: string, source: Source): void {
    if (!this.follow || this.#ended) return;
    source.deadline = this.#options.clock.setTimer(AGAIN_MS, () => {
      if (source.state === "missing" && this.#options.listener(nodeId) !== undefined)
        this.#ask(nodeId, source);
    });
  }

  /** Sets the deadline of a one-off answer; one that follows may be silent for ever. */
  #expect(nodeId: string, source: Source): void {
    source.deadline?.cancel();
    if (this.follow || this.#blocked) return;
    source.deadline = this.#options.clock.setTimer(ANSWER_WAIT_MS, () => {
      if (source.state !== "asked" || this.#blocked) return;
      this.#miss(nodeId, source, "does not answer");
      this.#endWhenAnswered();
    });
  }

  #receive(nodeId: string, source: Source, logs: PublishedLogs): boolean {
    if (this.#ended) return true;
    const messages = logs.messages.filter((message) => this.#mayBeFrom(nodeId, message.taskId));
    if (messages.length > 0) {
      if (this.follow) this.#taken.note(messages);
      const about = undefined;
      this.#write({ messages: messages.map((message) => ({ ...message, nodeId })), warning: "", about });
    }
    if (logs.error !== "") this.#warn(source, logs.error);
    if (logs.done) {
      source.state = "answered";
      source.deadline?.cancel();
      this.#endWhenAnswered();
    } else {
      this.#expect(nodeId, source);
    }
    return !this.#blocked;
  }

  /** A node speaks for its own tasks; one that this replica does not know yet may be new. */
  #mayBeFrom(nodeId: string, taskId: string): boolean {
    const task = this.#options.task(taskId);
    return task === undefined || task.nodeId === nodeId;
  }

  #miss(nodeId: string, source: Source, reason: string): void {
    source.state = "missing";
    source.deadline?.cancel();
    const what = reason === "broke off" ? "are incomplete" : "are missing";
    this.#warn(source, `logs of ${namesOf(source)} ${what}: node ${this.#nameOf(nodeId)} ${reason}`);
  }

  #nameOf(nodeId: string): string {
    return this.#options.node(nodeId)?.description?.hostname || nodeId;
  }

  #warn(source: Source, warning: string): void {
    const [task] = source.tasks.values();
    const about =
      task && LogMessage.create({ taskId: task.id, serviceId: task.serviceId, nodeId: task.nodeId });
    this.#write({ messages: [], warning, about });
  }

  #write(batch: LogBatch): void {
    if (!this.#ended && !this.#options.output.write(batch)) this.#blocked = true;
  }

  #endWhenAnswered(): void {
    if (this.follow || this.#ended) return;
    for (const source of this.#sources.values())
      if (source.state === "wanted" || source.state === "asked") return;
    this.end();
  }

  #isDown(nodeId: string): boolean {
    const node = this.#options.node(nodeId);
    return node === undefined || node.status?.state === NodeState.DOWN;
  }

  #subscription(source: Source, close: boolean): LogSubscription {
    const options = { ...this.#logOptions };
    if (source.asked > 1) {
      // Tasks that no line came of: what they have said since they were first asked for.
      if (options.tail >= 0) options.sinceMs = Math.max(options.sinceMs, source.askedAtMs);
      options.tail = -1;
    }
    return {
      id: subscriptionId(this.#options.id, source.asked),
      selector: this.selector,
      options,
      close,
      tunnelId: "",
      taken: source.asked > 1 ? this.#taken.of([...source.tasks.keys()]) : {},
    };
  }
}

function namesOf({ tasks }: Source): string {
  const names = [...tasks.values()].map(({ name }) => name);
  const shown = [...new Set(names)].slice(0, NAMES_SHOWN_MAX);
  const more = new Set(names).size - shown.length;
  return `${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
