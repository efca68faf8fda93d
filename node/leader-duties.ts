/**
 * What a manager does only while it leads: control loops, role manager, merging of reports.
 * Pure over its components. Invariant: duties begin after everything committed before is applied here,
 * and end before others may lead for long: a duty that still runs cannot write, because its proposals fail.
 */
import type { Clock } from "../base/clock/clock.js";
import { messageOf } from "../base/errors/errors.js";
import { Scope } from "../base/lifecycle/scope.js";
import type { Logger } from "../base/log/logger.js";
import { ComponentLoop } from "../base/loop/component-loop.js";
import type { Random } from "../base/random/random.js";
import { createAttachmentReaper } from "../manager/attachments/attachment-reaper.js";
import { startRootRotation } from "../manager/ca/root-rotation-loop.js";
import { createLeaderReports, type LeaderReports } from "../manager/dispatcher/leader-reports.js";
import { startKeyManager } from "../manager/keys/key-manager.js";
import { startNetworkKeyManager } from "../manager/keys/network-key-manager.js";
import { startRoleManager } from "../manager/membership/role-manager.js";
import { createControlLoops } from "../manager/orchestrator/control-loops.js";
import { createStackObserver } from "../manager/stacks/control/stack-observer.js";
import { createStackLoop } from "../manager/stacks/deployment/stack-loop.js";
import type { Store } from "../manager/store/types.js";
import type { RaftNode } from "../raft/host/raft-node.js";

export interface LeaderDutiesComponents {
  readonly store: Store;
  readonly raft: RaftNode;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class LeaderDuties {
  readonly #components: LeaderDutiesComponents;
  readonly #loop: ComponentLoop;
  readonly #unsubscribe: () => void;
  #wanted: { term: number } | undefined;
  #active: { term: number; scope: Scope; reports: LeaderReports } | undefined;
  #onReports: (() => void) | undefined;

  constructor(components: LeaderDutiesComponents, options: { onChange: () => void }) {
    this.#components = components;
    this.#onReports = options.onChange;
    this.#loop = new ComponentLoop({
      name: "leader-duties",
      log: components.log,
      pass: (signal) => this.#pass(signal),
    });
    this.#unsubscribe = components.raft.onLeadership(({ isLeader, term }) => {
      this.#wanted = isLeader ? { term } : undefined;
      this.#loop.wake();
    });
  }

  /** Of this leadership; undefined while others lead or the replica still catches up. */
  get reports(): LeaderReports | undefined {
    return this.#active?.reports;
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    this.#wanted = undefined;
    await this.#loop.close();
    await this.#stop();
  }

  async #pass(signal: AbortSignal): Promise<void> {
    if (this.#active !== undefined && this.#active.term !== this.#wanted?.term) await this.#stop();
    if (this.#wanted === undefined || this.#active !== undefined) return;
    const { raft, log, clock } = this.#components;
    const { term } = this.#wanted;
    try {
      await raft.readBarrier({ signal });
    } catch (error) {
      log.info("leadership not settled yet", { term, error: messageOf(error) });
      clock.setTimer(50, () => this.#loop.wake());
      return;
    }
    if (this.#wanted?.term !== term || signal.aborted) return;
    this.#start(term);
  }

  #start(term: number): void {
    const { store, raft, clock, random, log } = this.#components;
    const scope = new Scope();
    const reports = createLeaderReports({ store, clock, log: log.child({ component: "leader-reports" }) });
    scope.own(reports);
    const loops = createControlLoops({ store, clock, random: random.child(`loops-${term}`), log });
    scope.own(loops);
    loops.start();
    const reaper = createAttachmentReaper({
      ...{ store, clock, random: random.child(`attachments-${term}`) },
      log: log.child({ component: "attachments" }),
    });
    scope.own(reaper);
    reaper.start();
    const stackLog = log.child({ component: "stacks" });
    const stacks = createStackLoop({ store, clock, random: random.child(`stacks-${term}`), log: stackLog });
    scope.own(stacks);
    stacks.start();
    const observer = createStackObserver({
      ...{ store, clock, random: random.child(`observer-${term}`) },
      log: log.child({ component: "stack-observer" }),
    });
    scope.own(observer);
    observer.start();
    scope.own(startRoleManager({ store, raft, clock, log: log.child({ component: "role-manager" }) }));
    const rotationLog = log.child({ component: "root-rotation" });
    scope.own(startRootRotation({ store, clock, random: random.child(`ca-${term}`), log: rotationLog }));
    scope.own(startKeyManager({ store, clock, log: log.child({ component: "key-manager" }) }));
    const keyLog = log.child({ component: "network-key-manager" });
    scope.own(
      startNetworkKeyManager({ store, clock, random: random.child(`network-keys-${term}`), log: keyLog }),
    );
    this.#active = { term, scope, reports };
    log.info("leading", { term });
    this.#onReports?.();
  }

  async #stop(): Promise<void> {
    const active = this.#active;
    if (active === undefined) return;
    this.#active = undefined;
    this.#components.log.info("not leading any more", { term: active.term });
    await active.scope.close();
  }
}
