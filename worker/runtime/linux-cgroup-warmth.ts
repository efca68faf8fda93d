/**
 * Takes the wait out of a move between control groups that is about to come. Edge: to /proc and the cgroup
 * tree. The kernel's first move after a quiet time waits for an RCU grace period (16 ms and more, seen in
 * `cgroup.procs` of an exec); moves soon after it do not. A move of ourselves to where we are begins that
 * wait while the client is still asking. It changes nothing.
 * Source: cgroup_threadgroup_rwsem in kernel/cgroup/cgroup.c; favordynmods in cgroup-v2.rst.
 */
import { readFileSync, writeFile } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";

export class CgroupWarmth {
  readonly #path: string | undefined;
  readonly #log: Logger;
  #pending = false;

  constructor(log: Logger) {
    this.#log = log;
    this.#path = ownGroupFile(readFileSync("/proc/self/cgroup", "latin1"));
  }

  /** Returns at once; what fails costs no more than the wait it would have saved. */
  begin(): void {
    if (this.#path === undefined || this.#pending) return;
    this.#pending = true;
    writeFile(this.#path, String(process.pid), (error) => {
      this.#pending = false;
      if (error !== null) this.#log.debug("control groups stay cold", { error: messageOf(error) });
    });
  }
}

/** One tree is enough: all share the lock. @param text /proc/self/cgroup. */
export function ownGroupFile(text: string): string | undefined {
  const rows = text.split("\n").map((line) => /^\d+:([^:]*):(\/.*)$/.exec(line));
  const freezer = rows.find((row) => row?.[1] === "freezer");
  if (freezer !== undefined && freezer !== null)
    return join("/sys/fs/cgroup/freezer", freezer[2] ?? "", "cgroup.procs");
  const unified = rows.filter((row) => row !== null);
  if (unified.length !== 1 || unified[0]?.[1] !== "") return undefined;
  return join("/sys/fs/cgroup", unified[0][2] ?? "", "cgroup.procs");
}
