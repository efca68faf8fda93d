/**
 * The probes' tunnel in memory: the twin of linux-probe-tunnel.ts for tests. Pure.
 * Invariant: what the network lets through, both ways, is answered after `rttMs`.
 */
import type { Clock } from "../../base/clock/clock.js";
import type { ProbeQuestion, ProbeTunnel, ProbeTunnelOptions } from "./probe-tunnel.js";

export interface MemoryProbeNetwork {
  /** Of the underlay. */
  mtuBytes: number;
  rttMs: number;
  /** Somebody else has the port. */
  isTaken: boolean;
  passes(question: ProbeQuestion): boolean;
  /** Whether a transfer comes over. */
  transfers(number: number): boolean;
}

const OVERHEAD_BYTES = 50;

export class MemoryProbeTunnel implements ProbeTunnel {
  readonly network: MemoryProbeNetwork;
  readonly asked: ProbeQuestion[] = [];
  readonly txChecksums: boolean[] = [];
  peers: ReadonlyMap<number, string> = new Map();
  hasTxChecksum = true;
  readonly #clock: Clock;
  readonly #listeners = new Set<Parameters<ProbeTunnel["onAnswer"]>[0]>();

  constructor(clock: Clock, network: Partial<MemoryProbeNetwork> = {}) {
    this.#clock = clock;
    this.network = {
      ...{ mtuBytes: 1_500, rttMs: 1, isTaken: false, passes: () => true, transfers: () => true },
      ...network,
    };
  }

  open(_options: ProbeTunnelOptions): { fullBytes: number; overheadBytes: number } | undefined {
    const { isTaken, mtuBytes } = this.network;
    return isTaken ? undefined : { fullBytes: mtuBytes - OVERHEAD_BYTES, overheadBytes: OVERHEAD_BYTES };
  }

  ask(question: ProbeQuestion): void {
    this.asked.push(question);
    if (!this.network.passes(question)) return;
    const { number, nonce, packetBytes } = question;
    this.#clock.setTimer(this.network.rttMs, () => {
      for (const listener of this.#listeners) listener({ number, nonce, packetBytes });
    });
  }

  transfer({ number }: Pick<ProbeQuestion, "number">): Promise<boolean> {
    return Promise.resolve(this.network.transfers(number));
  }

  setTxChecksum(isOn: boolean): void {
    this.hasTxChecksum = isOn;
    this.txChecksums.push(isOn);
  }

  onAnswer(listener: Parameters<ProbeTunnel["onAnswer"]>[0]): void {
    this.#listeners.add(listener);
  }

  setPeers(peers: ReadonlyMap<number, string>): void {
    this.peers = peers;
  }

  close(): void {
    // nothing is held
  }

  remove(): Promise<void> {
    return Promise.resolve();
  }
}
