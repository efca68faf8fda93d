/**
 * Looks at the paths to other nodes, without end: a look at each in turn, at once after a change.
 * Pure (the world comes as ports). Invariants: at most `CHECKS_MAX` looks go on at a time, and at most
 * `CHECKS_PER_SECOND` begin; a path counts as silent after `SILENT_AFTER_MS` without any answer; what was
 * measured stays until something else is measured.
 * Source: docs/design/network-paths.md.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import { PathCheck, ROUND_MS } from "./path-check.js";
import { CHECKS_PER_SECOND, type PathPeer, periodMs } from "./path-peers.js";
import type { PathState, UnderlayFacts } from "./path-words.js";
import type { ProbeTunnel, ProbeTunnelOptions } from "./probe-tunnel.js";

export const CHECKS_MAX = 16;
/** Longer than a daemon takes to restart, and than a manager takes to say that a node is down. */
export const SILENT_AFTER_MS = 5_000;
/** Between the looks at a silent path: when it is well again that is seen within a second. */
const SILENT_PERIOD_MS = 250;
/** The same for one on which large packets vanish, at least. */
const SMALL_PERIOD_MS = 2_000;

interface Watched {
  peer: PathPeer;
  nextAtMs: number;
  check: PathCheck | undefined;
  mtuBytes: number;
  /** Since when nothing came back. */
  silentSinceMs: number | undefined;
  isSilent: boolean;
}

export interface PathMonitorParts {
  readonly tunnel: ProbeTunnel;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Something about a path has changed. */
  readonly onChange: () => void;
}

export class PathMonitor {
  readonly #parts: PathMonitorParts;
  readonly #watched = new Map<number, Watched>();
  readonly #sent = new Map<bigint, { readonly number: number; readonly check: PathCheck }>();
  #nonce: bigint;
  #facts: UnderlayFacts | undefined;
  #timer: Timer | undefined;
  /** Looks that may begin now; a second's worth at most. */
  #credit = CHECKS_PER_SECOND;
  #creditAtMs: number;

  constructor(parts: PathMonitorParts) {
    this.#parts = parts;
    this.#nonce = BigInt(parts.random.uint32()) << 32n;
    this.#creditAtMs = parts.clock.monotonicMs();
    parts.tunnel.onAnswer((answer) => this.#answered(answer));
  }

  /** undefined until the tunnel is open. */
  get facts(): UnderlayFacts | undefined {
    return this.#facts;
  }

  /** By node number, in ascending order. */
  paths(): PathState[] {
    return [...this.#watched.values()]
      .sort((a, b) => a.peer.number - b.peer.number)
      .map(({ peer, mtuBytes, isSilent }) => ({ peer, mtuBytes, isSilent, fault: "" }));
  }

  /**
   * Opens the tunnel, or brings it to what the underlay is now. Paths are looked at anew when that changed.
   * @throws what the kernel refuses; then nothing is looked at.
   */
  configure(options: ProbeTunnelOptions): void {
    const opened = this.#parts.tunnel.open(options);
    if (opened === undefined) {
      this.#pause();
      return;
    }
    const before = this.#facts;
    this.#facts = { udpPort: options.udpPort, ...opened };
    const isSame = before?.fullBytes === opened.fullBytes && before.overheadBytes === opened.overheadBytes;
    if (isSame && before.udpPort === options.udpPort) return;
    const nowMs = this.#parts.clock.monotonicMs();
    for (const watched of this.#watched.values()) {
      watched.mtuBytes = Math.min(watched.mtuBytes, opened.fullBytes);
      this.#abandon(watched);
      watched.nextAtMs = nowMs;
    }
    this.#schedule();
  }

  /** Whose paths count from now on. New ones, and those that moved, are looked at at once. */
  watch(peers: readonly PathPeer[]): void {
    const nowMs = this.#parts.clock.monotonicMs();
    const wanted = new Map(peers.map((peer) => [peer.number, peer]));
    let changed = false;
    for (const [number, watched] of this.#watched) {
      const peer = wanted.get(number);
      if (peer === undefined || peer.vtep !== watched.peer.vtep) {
        this.#abandon(watched);
        this.#watched.delete(number);
        changed = true;
      } else {
        watched.peer = peer;
      }
    }
    for (const [number, peer] of wanted) {
      if (this.#watched.has(number)) continue;
      changed = true;
      this.#watched.set(number, {
        peer,
        nextAtMs: nowMs,
        check: undefined,
        mtuBytes: 0,
        silentSinceMs: undefined,
        isSilent: false,
      });
    }
    if (!changed) return;
    this.#schedule();
    this.#parts.onChange();
  }

  close(): void {
    this.#pause();
    this.#watched.clear();
    this.#facts = undefined;
    this.#parts.tunnel.close();
  }

  #pause(): void {
    this.#facts = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const watched of this.#watched.values()) this.#abandon(watched);
  }

  /** The next moment something is due. */
  #schedule(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#facts === undefined) return;
    let atMs = Number.POSITIVE_INFINITY;
    let running = 0;
    for (const { check, nextAtMs } of this.#watched.values()) {
      if (check !== undefined) running += 1;
      atMs = Math.min(atMs, check?.nextAtMs ?? nextAtMs);
    }
    if (atMs === Number.POSITIVE_INFINITY) return;
    const nowMs = this.#parts.clock.monotonicMs();
    // Nothing can begin: wait for a look that goes on, or for credit.
    const isHeld = running >= CHECKS_MAX || this.#creditNow(nowMs) < 1;
    const delayMs = Math.max(isHeld ? 1_000 / CHECKS_PER_SECOND : 1, atMs - nowMs);
    this.#timer = this.#parts.clock.setTimer(delayMs, () => {
      this.#timer = undefined;
      this.#turn();
    });
  }

  #turn(): void {
    if (this.#facts === undefined) return;
    const nowMs = this.#parts.clock.monotonicMs();
    let running = 0;
    for (const watched of this.#watched.values()) {
      if (watched.check === undefined) continue;
      this.#drive(watched, watched.check, nowMs);
      if (watched.check !== undefined) running += 1;
    }
    const due = [...this.#watched.values()]
      .filter(({ check, nextAtMs }) => check === undefined && nextAtMs <= nowMs)
      .sort((a, b) => a.nextAtMs - b.nextAtMs);
    for (const watched of due) {
      if (running >= CHECKS_MAX || this.#creditNow(nowMs) < 1) break;
      this.#credit -= 1;
      running += 1;
      const { fullBytes } = this.#facts;
      watched.check = new PathCheck({ fullBytes, knownBytes: watched.mtuBytes, nowMs });
      this.#drive(watched, watched.check, nowMs);
    }
    this.#schedule();
  }

  #creditNow(nowMs: number): number {
    const gained = ((nowMs - this.#creditAtMs) * CHECKS_PER_SECOND) / 1_000;
    this.#credit = Math.min(CHECKS_PER_SECOND, this.#credit + gained);
    this.#creditAtMs = nowMs;
    return this.#credit;
  }

  #drive(watched: Watched, check: PathCheck, nowMs: number): void {
    for (const packetBytes of check.due(nowMs)) {
      this.#nonce += 1n;
      this.#sent.set(this.#nonce, { number: watched.peer.number, check });
      try {
        this.#parts.tunnel.ask({ ...watched.peer, packetBytes, nonce: this.#nonce });
      } catch (error) {
        // Not sent: the same as lost.
        this.#parts.log.debug("a probe was not sent", { to: watched.peer.vtep, error: messageOf(error) });
      }
    }
    if (check.outcome !== undefined) this.#end(watched, check, nowMs);
  }

  #answered({ number, nonce, packetBytes }: { number: number; nonce: bigint; packetBytes: number }): void {
    const sent = this.#sent.get(nonce);
    const watched = this.#watched.get(number);
    if (sent?.number !== number || watched === undefined || watched.check !== sent.check) return;
    const nowMs = this.#parts.clock.monotonicMs();
    sent.check.answered(packetBytes, nowMs);
    if (sent.check.outcome === undefined) {
      if (sent.check.nextAtMs <= nowMs) this.#schedule();
      return;
    }
    this.#end(watched, sent.check, nowMs);
    this.#schedule();
  }

  #end(watched: Watched, check: PathCheck, nowMs: number): void {
    const { outcome } = check;
    const { random, onChange } = this.#parts;
    this.#abandon(watched);
    if (outcome === undefined || this.#facts === undefined) return;
    const before = { mtuBytes: watched.mtuBytes, isSilent: watched.isSilent };
    if (outcome.kind === "silent") {
      watched.silentSinceMs ??= nowMs - ROUND_MS; // when the look began
      watched.isSilent ||= nowMs - watched.silentSinceMs >= SILENT_AFTER_MS;
    } else {
      watched.silentSinceMs = undefined;
      watched.isSilent = false;
      watched.mtuBytes = outcome.mtuBytes;
    }
    const usualMs = periodMs(this.#watched.size, random.float());
    const isSmall = watched.mtuBytes < this.#facts.fullBytes;
    const delayMs =
      watched.silentSinceMs !== undefined
        ? SILENT_PERIOD_MS
        : isSmall
          ? Math.min(usualMs, SMALL_PERIOD_MS)
          : usualMs;
    watched.nextAtMs = nowMs + delayMs;
    if (before.mtuBytes !== watched.mtuBytes || before.isSilent !== watched.isSilent) onChange();
  }

  #abandon(watched: Watched): void {
    const { check } = watched;
    watched.check = undefined;
    if (check === undefined) return;
    for (const [nonce, sent] of this.#sent) if (sent.check === check) this.#sent.delete(nonce);
  }
}
