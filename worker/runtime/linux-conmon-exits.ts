/**
 * Learns of the ends of containers from the exit files their monitors write. Edge: to exit files,
 * fs.watch and /proc.
 * Invariant: each watched container is reported once. The watch tells at once;
 * a slow poll finds what it missed, and containers whose monitor was killed: their code cannot be learned.
 */
import { existsSync, type FSWatcher, readdirSync, readFileSync, statSync, watch } from "node:fs";
import { join } from "node:path";
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { type CgroupMode, oomKillCount } from "./linux-cgroup.js";
import { isAlive, isErrno, processOf } from "./linux-process.js";
import type { ProcessIdentity, RuntimeExit } from "./oci-runtime.js";
import type { RuntimeLayout } from "./runtime-layout.js";

export interface ConmonExitsInit {
  readonly layout: RuntimeLayout;
  readonly mode: CgroupMode;
  readonly cgroupParent: string;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export class ConmonExits {
  readonly #init: ConmonExitsInit;
  readonly #watched = new Map<string, ProcessIdentity>();
  readonly #listeners: ((exit: RuntimeExit) => void)[] = [];
  readonly #watcher: FSWatcher;
  readonly #poll: Timer;

  constructor(init: ConmonExitsInit) {
    this.#init = init;
    this.#watcher = watch(init.layout.exitDir, { persistent: false }, (_kind, file) => {
      if (file === null) this.#guarded(() => this.#checkAll());
      else if (this.#watched.has(file)) this.#guarded(() => this.#checkExitFile(file));
    });
    this.#watcher.on("error", (error) =>
      init.log.error("exit watch failed, polling goes on", { error: messageOf(error) }),
    );
    this.#poll = init.clock.setInterval(init.pollMs, () => this.#guarded(() => this.#checkAll()));
  }

  get watchedCount(): number {
    return this.#watched.size;
  }

  listen(listener: (exit: RuntimeExit) => void): void {
    this.#listeners.push(listener);
  }

  watch(id: string, target: ProcessIdentity): void {
    this.#watched.set(id, target);
  }

  forget(id: string): void {
    this.#watched.delete(id);
  }

  /** Looks now: for a container found again after a restart. */
  check(id: string): void {
    const target = this.#watched.get(id);
    if (target === undefined || this.#checkExitFile(id) || isAlive(target)) return;
    const pidFile = join(this.#init.layout.bundleDir(id), "conmon.pid");
    const monitor = target.startTicks < 0 ? undefined : processOf(readNumber(pidFile));
    if (monitor !== undefined && isConmon(monitor.pid)) return; // about to write the file
    if (this.#checkExitFile(id)) return; // written between the two looks
    this.#report({ id, exitCode: -1, finishedMs: this.#init.clock.nowMs(), oomKilled: false });
  }

  close(): void {
    this.#watcher.close();
    this.#poll.cancel();
  }

  /** Nobody above a timer or a watch could handle it; the next look tries again. */
  #guarded(look: () => void): void {
    try {
      look();
    } catch (error) {
      this.#init.log.error("ends of containers could not be looked for", { error: messageOf(error) });
    }
  }

  #checkAll(): void {
    if (this.#watched.size === 0) return;
    // one look at the folder: 500 containers take some 10 ms
    const ended = new Set(exitFileNames(this.#init.layout));
    for (const [id, target] of [...this.#watched]) if (ended.has(id) || !isAlive(target)) this.check(id);
  }

  #checkExitFile(id: string): boolean {
    const { layout, mode, cgroupParent } = this.#init;
    const path = join(layout.exitDir, id);
    let exitCode: number;
    let finishedMs: number;
    try {
      const text = readFileSync(path, "latin1").trim();
      if (text === "") return false; // being written
      exitCode = Number(text);
      finishedMs = statSync(path).mtimeMs;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return false;
      throw error;
    }
    const told = existsSync(join(layout.bundleDir(id), "oom"));
    const oomKilled = told || oomKillCount(mode, `${cgroupParent}/${id}`) > 0;
    this.#report({ id, exitCode, finishedMs, oomKilled });
    return true;
  }

  #report(exit: RuntimeExit): void {
    if (!this.#watched.delete(exit.id)) return; // told already
    for (const listener of this.#listeners) listener(exit);
  }
}

/** Files of former runs that would be taken for news. */
export function staleExitFiles(layout: RuntimeLayout, id: string): readonly string[] {
  const bundle = layout.bundleDir(id);
  return [join(layout.exitDir, id), join(bundle, "oom"), join(bundle, "exit")].filter((path) =>
    existsSync(path),
  );
}

/** Everything with a name in the exit folder, temporary names of files being written included. */
export function exitFileNames(layout: RuntimeLayout): readonly string[] {
  return readdirSync(layout.exitDir);
}

function isConmon(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, "latin1").trim() === "conmon";
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return false;
    throw error;
  }
}

/** @returns 0 when the file is missing. */
export function readNumber(path: string): number {
  try {
    return Number(readFileSync(path, "latin1").trim());
  } catch (error) {
    if (isErrno(error, "ENOENT")) return 0;
    throw error;
  }
}
