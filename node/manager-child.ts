/**
 * The manager process as skeind sees it: started, supervised, told of new certificates, stopped.
 * Edge: to node:child_process. A manager that crashes is started again with a growing pause, resuming from
 * its disk; containers and networks notice nothing.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { SwarmRecovery } from "../api/ports.js";
import type { Clock, Timer } from "../base/clock/clock.js";
import { InternalError, messageOf, type SkeinError } from "../base/errors/errors.js";
import { errorFromText } from "../base/errors/status.js";
import type { Logger } from "../base/log/logger.js";
import { Backoff } from "../base/loop/backoff.js";
import type { Random } from "../base/random/random.js";
import type { SecretDrivers } from "../manager/dispatcher/driver-secrets.js";
import type { FromManager, ManagerConfig, ManagerMode, ManagerPlace, ToManager } from "./manager-messages.js";
import { NodeLock } from "./node-lock.js";
import type { TlsIdentity } from "./rpc-host.js";
import { MANAGER_V8_FLAGS } from "./v8-flags.js";

export interface ManagerReady {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly identity: TlsIdentity | undefined;
  /** What its data keys are locked under; "": nothing. */
  readonly unlockKey: string;
  /** The account of a forced new cluster. */
  readonly recovery: SwarmRecovery | undefined;
}

export interface ManagerChildOptions {
  readonly place: ManagerPlace;
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
  readonly logLevel: string;
  /** What the node's files are locked under. @default nothing, for ever */
  readonly lock?: NodeLock;
  /** Asks a plugin of this node for a secret's data. @default every driver refuses */
  readonly askSecretDriver?: SecretDrivers["ask"];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** The program that is run. @default manager-main */
  readonly main?: URL;
}

const STOP_TIMEOUT_MS = 10_000;

export class ManagerChild {
  readonly #options: ManagerChildOptions;
  readonly #backoff: Backoff;
  readonly #lock: NodeLock;
  #child: ChildProcess | undefined;
  #identity: TlsIdentity | undefined;
  /** Who the manager is, for starting it again; known from the start of a resume, else once it was ready. */
  #self: { readonly nodeId: string; readonly clusterId: string } | undefined;
  #started = false;
  #stopping = false;
  #removed = false;
  #onRemoved: ((reason: string) => void) | undefined;
  #failure = "";
  /** As the running manager says. */
  #unwell = "";
  #troubleTold = "";
  #onTrouble: (() => void) | undefined;
  #serving = false;
  #onServing: ((isServing: boolean) => void) | undefined;
  #restart: Timer | undefined;

  constructor(options: ManagerChildOptions) {
    this.#options = options;
    this.#lock = options.lock ?? new NodeLock();
    this.#backoff = new Backoff(options.random.child("manager"), { initialMs: 200, maxMs: 10_000 });
  }

  /** True once it has answered `ready`; it may be restarting after a crash. False when it is not any more. */
  get started(): boolean {
    return this.#started && !this.#stopping && !this.#removed;
  }

  /**
   * Resolves when the manager serves. A resume that fails is tried again until `stop`:
   * what stood in its way, the port still held by the manager of a killed daemon, say, may go.
   * @throws the manager's own error when it cannot start now.
   */
  async start(mode: ManagerMode): Promise<ManagerReady> {
    if (mode.kind === "resume") this.#self = mode;
    this.#identity = mode.kind === "init" ? undefined : mode.identity;
    try {
      const ready = await this.#launch(mode);
      this.#self = ready;
      return ready;
    } catch (error) {
      this.#relaunch(messageOf(error));
      throw error;
    }
  }

  /** The others removed it while it was away: it has ended, and is not started again. */
  get removed(): boolean {
    return this.#removed;
  }

  /** Calls back once when that has happened, or has happened before. One listener. */
  onRemoved(listener: (reason: string) => void): void {
    this.#onRemoved = listener;
    if (this.#removed && this.#child === undefined) listener(this.#failure);
  }

  /** Why it is not serving now though it should; "" while it is. */
  get failure(): string {
    return this.#failure;
  }

  /** Why it does not serve, or serves and is not healthy; "" while all is well. */
  get trouble(): string {
    return this.#failure === "" ? this.#unwell : `it does not run: ${this.#failure}`;
  }

  /** Calls back when `trouble` has changed. One listener. */
  onTrouble(listener: () => void): void {
    this.#onTrouble = listener;
  }

  /**
   * Calls back when it begins to serve, when it has ended and each time it could not start;
   * at once when it serves already. One listener.
   */
  onServing(listener: (isServing: boolean) => void): void {
    this.#onServing = listener;
    if (this.#serving) listener(true);
  }

  #setServing(isServing: boolean): void {
    this.#serving = isServing;
    this.#onServing?.(isServing);
  }

  #note(change: { failure?: string; unwell?: string }): void {
    this.#failure = change.failure ?? this.#failure;
    this.#unwell = change.unwell ?? this.#unwell;
    if (this.trouble === this.#troubleTold) return;
    this.#troubleTold = this.trouble;
    this.#onTrouble?.();
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

  /**
   * Settles once: with `ready`, or when the process has ended without it,
   * so that never two of them are there.
   */
  #launch(mode: ManagerMode): Promise<ManagerReady> {
    const { place, user, logLevel, log } = this.#options;
    const main = this.#options.main ?? new URL("./manager-main.js", import.meta.url);
    const child = fork(fileURLToPath(main), [], {
      execArgv: [...MANAGER_V8_FLAGS],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#child = child;
    const { unlockKey, former } = this.#lock.current;
    const config: ManagerConfig = { place, mode, user, logLevel, unlockKeys: [unlockKey, ...former] };
    return new Promise((resolve, reject) => {
      let isReady = false;
      let failure: SkeinError | undefined;
      let reason: string | undefined;
      child.on("message", (message: FromManager) => {
        switch (message.kind) {
          case "ready":
            isReady = true;
            this.#note({ failure: "" });
            this.#started = true;
            this.#backoff.reset();
            if (mode.kind === "init") this.#identity = message.identity;
            else if (this.#identity !== undefined && this.#identity !== mode.identity)
              this.exchangeIdentity(this.#identity);
            this.#setServing(true);
            resolve(message);
            break;
          case "lock-changing":
            this.#followLock(message.unlockKey);
            break;
          case "lock-changed":
            this.#endLockChange(message.unlockKey);
            break;
          case "secret-wanted":
            void this.#askSecretDriver(child, message);
            break;
          case "failed":
            failure = errorFromText(message.code, message.message);
            break;
          case "stopped":
            reason = message.message;
            this.#note({ failure: reason });
            break;
          case "trouble":
            this.#note({ unwell: message.message });
            break;
          case "removed":
            this.#removed = true;
            this.#note({ failure: message.message });
            break;
        }
      });
      child.on("error", (error) => {
        log.error("manager process failed", { error: error.message });
        if (child.pid === undefined) ended(`an error: ${error.message}`); // it never ran: no exit follows
      });
      const ended = (how: string): void => {
        if (this.#child === child) this.#child = undefined;
        this.#setServing(false);
        if (isReady) this.#relaunch(reason ?? `it ended with ${how}`);
        else {
          const why = reason === undefined ? "" : `: ${reason}`;
          reject(
            failure ?? new InternalError(`the manager process ended with ${how} before it was ready${why}`),
          );
        }
      };
      child.once("exit", (code, signal) => ended(signal ?? `code ${code}`));
      child.send({ kind: "start", config } satisfies ToManager);
    });
  }

  #followLock(unlockKey: string): void {
    let refusal = "";
    try {
      this.#lock.changing(unlockKey);
    } catch (error) {
      refusal = messageOf(error);
    }
    this.#send({ kind: "lock-followed", refusal });
  }

  /** Never fails: a refusal is an answer, too. Data goes over the channel, and nowhere else. */
  async #askSecretDriver(
    child: ChildProcess,
    { question, driver, request }: Extract<FromManager, { kind: "secret-wanted" }>,
  ): Promise<void> {
    const answer = { kind: "secret-given", question, data: "", doNotReuse: true, refusal: "" } as const;
    let told: ToManager;
    try {
      const ask = this.#options.askSecretDriver;
      if (ask === undefined) throw new InternalError("this node asks no secret drivers");
      const { data, doNotReuse } = await ask(driver, request);
      told = { ...answer, data: Buffer.from(data).toString("base64"), doNotReuse };
    } catch (error) {
      told = { ...answer, refusal: messageOf(error) || "it gave no reason" };
    }
    if (child.connected) child.send(told);
  }

  #endLockChange(unlockKey: string): void {
    try {
      this.#lock.changed(unlockKey);
    } catch (error) {
      const until = "it holds the unlock key of before, sealed, until it is renewed";
      this.#options.log.warn("the identity could not be saved", { error: messageOf(error), until });
    }
  }

  #relaunch(why: string): void {
    const self = this.#self;
    if (self === undefined || this.#stopping || this.#removed) {
      if (this.#removed) this.#onRemoved?.(this.#failure);
      return;
    }
    this.#note({ failure: why, unwell: "" });
    const pauseMs = this.#backoff.nextMs();
    this.#options.log.warn("manager process ended; starting it again", { why, pauseMs });
    this.#restart = this.#options.clock.setTimer(pauseMs, () => {
      const identity = this.#identity;
      if (identity === undefined) return; // known with `self`
      const { nodeId, clusterId } = self;
      this.#launch({ kind: "resume", nodeId, clusterId, identity }).catch((error: SkeinError) => {
        this.#options.log.error("manager could not be started again", { error: error.message });
        this.#relaunch(error.message);
      });
    });
  }
}
