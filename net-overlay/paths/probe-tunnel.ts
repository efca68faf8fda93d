/**
 * The tunnel that carries probes between nodes and nothing else.
 * Pure (interface only). Implementation: linux-probe-tunnel.ts.
 */

export interface ProbeTunnelOptions {
  /** Of this node. */
  readonly nodeNumber: number;
  readonly localAddress: string;
  readonly udpPort: number;
}

export interface ProbeQuestion {
  /** Of the node that is asked. */
  readonly number: number;
  readonly vtep: string;
  readonly nonce: bigint;
  /** Of the inner IP packet; its answer has the same size. */
  readonly packetBytes: number;
  /** It carries a checksum, which who receives it verifies. Answers carry none. @default false */
  readonly isChecked?: boolean;
}

export interface ProbeTunnel {
  /**
   * Idempotent: brings the tunnel to the options, and to the underlay's MTU as it is now. It answers others'
   * questions from then on.
   * @returns the largest inner packet it takes, and what it puts around one; undefined while somebody else
   * has its port. @throws what the kernel refuses.
   */
  open(
    options: ProbeTunnelOptions,
  ): { readonly fullBytes: number; readonly overheadBytes: number } | undefined;
  /** @throws when the kernel does not take it. */
  ask(question: ProbeQuestion): void;
  onAnswer(listener: (answer: { number: number; nonce: bigint; packetBytes: number }) => void): void;
  /** Sends more than a segment by TCP. @returns whether all of it came over unharmed, in bounded time. */
  transfer(to: Pick<ProbeQuestion, "number" | "vtep">): Promise<boolean>;
  /** Whether the tunnel leaves checksums to the network card. @throws what the kernel refuses. */
  setTxChecksum(isOn: boolean): void;
  /** Whom answers may go to, by node number. */
  setPeers(peers: ReadonlyMap<number, string>): void;
  /** Stops asking and answering; the tunnel stays. */
  close(): void;
  /** Takes it away without trace. */
  remove(): Promise<void>;
}
