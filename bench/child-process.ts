/**
 * A forked process that answers requests one by one over IPC, and what its CPU time was.
 * Edge: to node:child_process and /proc.
 */
import { type ChildProcess, fork } from "node:child_process";
import { readFileSync } from "node:fs";

type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;

/** Linux counts in hundredths of a second. */
const TICK_MS = 10;

/** User and system time of a process so far, milliseconds. */
export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS; // utime and stime, proc(5)
}

export class AnsweringChild<Request extends { readonly id: number }> {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void }
  >();
  #nextId = 1;

  constructor(module: string, execArgv: readonly string[] = []) {
    this.#child = fork(module, [], { execArgv: [...execArgv], serialization: "advanced" });
    this.#child.on("message", (reply: { id: number; value?: unknown; error?: string }) => {
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if (reply.error === undefined) waiting?.resolve(reply.value);
      else waiting?.reject(new Error(reply.error));
    });
    this.#child.on("exit", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${module} ended`));
      this.#waiting.clear();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  ask(request: WithoutId<Request>): Promise<unknown> {
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

  /** Ends the process, kindly when it answers to `stop`. */
  async end(stop?: WithoutId<Request>): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    if (stop === undefined) this.#child.kill("SIGTERM");
    else
      this.ask(stop).then(
        () => undefined,
        () => this.#child.kill("SIGKILL"), // it ended already, or never will
      );
    await gone;
    clearTimeout(timer);
  }
}
