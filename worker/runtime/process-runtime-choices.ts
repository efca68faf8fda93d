/**
 * Which program runs a container: the daemon's runtime, or the other one where its request names that.
 * Edge: to the runtimes' state folders. Nothing is kept in memory: a container found again after a restart of
 * the daemon is known by what its runtime left in its state.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { findProgram } from "./process-run.js";

export type RuntimeName = "crun" | "runc";

/** A file that each of them keeps, and the other does not. */
const MARKS: Readonly<Record<RuntimeName, string>> = { crun: "status", runc: "state.json" };

export class RuntimeChoices {
  readonly #name: RuntimeName;
  readonly #stateDir: string;
  readonly #hidden: boolean;
  readonly #programs: Readonly<Record<RuntimeName, string | undefined>>;

  /** @param init name: the daemon's; hidden: crun must not see the v2 tree of a hybrid host. */
  constructor(init: { name: RuntimeName; stateDir: string; hidden: boolean }) {
    this.#name = init.name;
    this.#stateDir = init.stateDir;
    this.#hidden = init.hidden;
    this.#programs = { crun: findProgram("crun"), runc: findProgram("runc") };
  }

  /**
   * For a new container. "runc" is what Docker calls its default: where it is not installed, the daemon's
   * serves.
   * @throws {InvalidArgumentError} crun was asked for and is not installed.
   */
  asked(runtime: RuntimeName | undefined): { readonly runtime: string; readonly hideUnified: boolean } {
    const missing = runtime === "runc" && this.#programs.runc === undefined;
    const name = runtime === undefined || missing ? this.#name : runtime;
    const program = this.#programs[name];
    if (program === undefined) throw new InvalidArgumentError(`unknown or invalid runtime name: ${name}`);
    return { runtime: program, hideUnified: name === "crun" && this.#hidden };
  }

  /** Of a container that was created. */
  programOf(id: string): string {
    const other: RuntimeName = this.#name === "crun" ? "runc" : "crun";
    const isOther = existsSync(join(this.#stateDir, id, MARKS[other]));
    return this.asked(isOther ? other : this.#name).runtime;
  }
}
