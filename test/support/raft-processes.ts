/**
 * Raft members in processes of their own, for tests that kill them. Edge: to node:child_process.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { RaftStart } from "../../raft/host/host.js";
import type { MemberReport, MemberRequest } from "./raft-member.js";

type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;

export class RaftProcess {
  readonly name: string;
  readonly dir: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void }
  >();
  readonly #reports: MemberReport[] = [];
  #watchers: (() => void)[] = [];
  #nextId = 1;
  isLeader = false;
  leader = 0;
  term = 0;
  voters = 0;
  port = 0;
  raftId = 0;

  constructor(config: { name: string; dir: string; port?: number; start: RaftStart }) {
    this.name = config.name;
    this.dir = config.dir;
    const isCompiled = import.meta.url.endsWith(".js");
    const script = fileURLToPath(new URL(`./raft-member.${isCompiled ? "js" : "ts"}`, import.meta.url));
    const argument = JSON.stringify({ port: 0, ...config });
    this.#child = fork(script, [argument], {
      execArgv: isCompiled ? [] : ["--import", "tsx"],
      serialization: "advanced",
    });
    this.#child.on("message", (report: MemberReport) => this.#take(report));
    this.#child.on("exit", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`member ${this.name} exited`));
      this.#waiting.clear();
      this.#wake();
    });
  }

  async ready(): Promise<this> {
    await this.until(() => this.port > 0);
    return this;
  }

  /** Resolves when the condition holds; looked at after every report. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (condition()) resolve();
        else if (this.#child.exitCode !== null) reject(new Error(`member ${this.name} exited`));
        else this.#watchers.push(look);
      };
      look();
    });
  }

  ask(request: WithoutId<MemberRequest>): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ ...request, id });
    });
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await gone;
  }

  #take(report: MemberReport): void {
    this.#reports.push(report);
    if (report.kind === "ready") {
      this.port = report.port;
      this.raftId = report.raftId;
    } else if (report.kind === "leadership") {
      this.isLeader = report.isLeader;
      this.leader = report.leader;
      this.term = report.term;
    } else if (report.kind === "role") {
      this.voters = report.voters;
    } else {
      const waiting = this.#waiting.get(report.id);
      this.#waiting.delete(report.id);
      if (report.error === undefined) waiting?.resolve(report.value);
      else waiting?.reject(new Error(report.error));
    }
    this.#wake();
  }

  #wake(): void {
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const look of watchers) look();
  }
}
