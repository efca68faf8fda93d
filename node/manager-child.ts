/**
 * The manager process as skeind sees it: started, supervised, told of new certificates, stopped. Edge: to node:child_process.
 * A manager that crashes is started again with a growing pause, resuming from its disk; containers and networks notice nothing.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Clock, Timer } from "../base/clock/clock.js";
import { InternalError, type SkeinError } from "../base/errors/errors.js";
import { errorFromCode, STATUS } from "../base/errors/status.js";
import type { ErrorCode } from "../base/errors/errors.js";
import type { Logger } from "../base/log/logger.js";
import { Backoff } from "../base/loop/backoff.js";
import type { Random } from "../base/random/random.js";
import type { FromManager, ManagerConfig, ManagerMode, ManagerPlace, ToManager } from "./manager-messages.js";
import type { TlsIdentity } from "./rpc-host.js";
import { V8_FLAGS } from "./v8-flags.js";

export interface ManagerReady {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly identity: TlsIdentity | undefined;
}

export interface ManagerChildOptions {
  readonly place: ManagerPlace;
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
  readonly logLevel: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const STOP_TIMEOUT_MS = 10_000;

export class ManagerChild {
  readonly #options: ManagerChildOptions;
  readonly #backoff: Backoff;
  #child: ChildProcess | undefined;
  #identity: TlsIdentity | undefined;
  #ready: ManagerReady | undefined;
  #stopping = false;
  #restart: Timer | undefined;

  constructor(options: ManagerChildOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random.child("manager"), { initialMs: 200, maxMs: 10_000 });
  }

  /** True once it has answered `ready`; it may be restarting after a crash. */
  get started(): boolean {
    return this.#ready !== undefined && !this.#stopping;
  }

  /** Resolves when the manager serves. @throws the manager's own error when it cannot start. */
  async start(mode: ManagerMode): Promise<ManagerReady> {
    this.#identity = mode.kind === "init" ? undefined : mode.identity;
    const ready = await this.#launch(mode);
    this.#ready = ready;
    this.#identity = ready.identity ?? this.#identity;
    return ready;
  }

  exchangeIdentity(identity: TlsIdentity): void {
    this.#identity = identity;
    this.#send({ kind: "identity", identity });
  }

  /** Hands leadership over and ends; kills after ten seconds. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#restart?.cancel();
    const child = this.#child;
    if (child === undefined) return;
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    this.#send({ kind: "stop" });
    const timer = this.#options.clock.setTimer(STOP_TIMEOUT_MS, () => child.kill("SIGKILL"));
    await exited;
    timer.cancel();
  }

  #send(message: ToManager): void {
    if (this.#child?.connected) this.#child.send(message);
  }

  #launch(mode: ManagerMode): Promise<ManagerReady> {
    const { place, user, logLevel, log } = this.#options;
    const main = fileURLToPath(new URL("./manager-main.js", import.meta.url));
    const child = fork(main, [], { execArgv: [...V8_FLAGS], stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.#child = child;
    const config: ManagerConfig = { place, mode, user, logLevel };
    return new Promise((resolve, reject) => {
      let settled = false;
      child.on("message", (message: FromManager) => {
        switch (message.kind) {
          case "ready":
            settled = true;
            this.#backoff.reset();
            resolve({ nodeId: message.nodeId, clusterId: message.clusterId, identity: message.identity });
            break;
          case "failed":
            settled = true;
            reject(rebuild(message.code, message.message));
            break;
        }
      });
      child.on("error", (error) => log.error("manager process failed", { error: error.message }));
      child.once("exit", (code, signal) => {
        if (this.#child === child) this.#child = undefined;
        if (!settled) reject(new InternalError(`the manager process ended with ${signal ?? `code ${code}`} before it was ready`));
        else if (this.#ready !== undefined && !this.#stopping) this.#relaunch(signal ?? `code ${code}`);
      });
      child.send({ kind: "start", config } satisfies ToManager);
    });
  }

  #relaunch(why: string): void {
    const pauseMs = this.#backoff.nextMs();
    const ready = this.#ready;
    const identity = this.#identity;
    if (ready === undefined || identity === undefined) return;
    this.#options.log.warn("manager process ended; starting it again", { why, pauseMs });
    this.#restart = this.#options.clock.setTimer(pauseMs, () => {
      this.#launch({ kind: "resume", nodeId: ready.nodeId, clusterId: ready.clusterId, identity }).catch((error: SkeinError) => {
        this.#options.log.error("manager could not be started again", { error: error.message });
        if (!this.#stopping) this.#relaunch("failed start");
      });
    });
  }
}

function rebuild(code: string, message: string): SkeinError {
  return errorFromCode(code in STATUS ? (code as ErrorCode) : "internal", message); // `in` proved it
}
