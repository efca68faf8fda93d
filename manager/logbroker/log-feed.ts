/**
 * One subscription: which nodes were asked, which have answered, what is missing.
 * Pure. Per node: wanted > asked > answered, or missing with a reason.
 * Invariant: a one-off feed ends when no node is wanted or asked any more, and each of those states has a
 * deadline.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import type {
  LogBatch,
  LogOptions,
  LogSelector,
  LogSubscription,
  PublishedLogs,
} from "../../proto/gen/skein/v1/logs.js";
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState } from "../../proto/gen/skein/v1/types.js";
import type { NodeListener } from "../reach/node-listeners.js";
import type { Publication } from "./log-broker.js";
import { shortTaskName } from "./log-selection.js";

/** Milliseconds a node that should be there has to come and listen. */
export const LISTENER_WAIT_MS = 3_000;
/** Milliseconds without a word from a node that was asked for what it has. */
export const ANSWER_WAIT_MS = 10_000;

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

interface Source {
  state: "wanted" | "asked" | "answered" | "missing";
  readonly tasks: Map<string, Task>;
  deadline: Timer | undefined;
  /** Asked before: what was sent then is not asked for again. */
  sinceMs: number | undefined;
}

export class LogFeed {
  readonly selector: LogSelector;
  readonly follow: boolean;
  readonly #options: LogFeedOptions;
  readonly #logOptions: LogOptions;
  readonly #sources = new Map<string, Source>();
  #resume: (() => void)[] = [];
  #blocked = false;
  #ended = false;

  constructor(options: LogFeedOptions) {
    this.#options = options;
    this.selector = options.selector;
    const given = options.options ?? { follow: false, tail: -1, sinceMs: 0, stdout: true, stderr: true };
    this.#logOptions = given.stdout || given.stderr ? given : { ...given, stdout: true, stderr: true };
    this.follow = this.#logOptions.follow;
  }

  /** The tasks selected now; nodes not asked yet are asked. */
  include(tasks: readonly Task[]): void {
    for (const task of tasks) {
      const source = this.#sources.get(task.nodeId) ?? {
        state: "wanted",
        tasks: new Map<string, Task>(),
        deadline: undefined,
        sinceMs: undefined,
      };
      source.tasks.set(task.id, task);
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

  publication(nodeId: string): Publication | undefined {
    const source = this.#sources.get(nodeId);
    if (source === undefined || this.#ended) return undefined;
    return {
      receive: (logs) => this.#receive(nodeId, source, logs),
      onResume: (listener) => {
        if (this.#blocked) this.#resume.push(listener);
        else listener();
      },
      closed: () => {
        if (source.state !== "asked") return;
        source.sinceMs = this.#options.clock.nowMs();
        this.#miss(nodeId, source, "broke off");
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
      if (source.state === "asked") this.#options.listener(nodeId)?.send(this.#subscription(source, true));
    }
    for (const listener of this.#resume) listener();
    this.#options.output.end(error);
    this.#options.onEnded();
  }

  #ask(nodeId: string, source: Source): void {
    const listener = this.#options.listener(nodeId);
    if (listener !== undefined) {
      source.state = "asked";
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
      this.#write({ messages: messages.map((message) => ({ ...message, nodeId })), warning: "" });
    }
    if (logs.error !== "") this.#write({ messages: [], warning: logs.error });
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
    const tasks = [...source.tasks.values()].map(shortTaskName).join(", ");
    const node = this.#options.node(nodeId)?.description?.hostname || nodeId;
    const what = reason === "broke off" ? "are incomplete" : "are missing";
    this.#write({ messages: [], warning: `logs of ${tasks} ${what}: node ${node} ${reason}` });
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
    const again = source.sinceMs === undefined ? {} : { sinceMs: source.sinceMs, tail: -1 };
    return {
      id: this.#options.id,
      selector: this.selector,
      options: { ...this.#logOptions, ...again },
      close,
      tunnelId: "",
    };
  }
}
