/**
 * What the node's encryption asks of the kernel: one WireGuard device in a namespace of its own.
 * Pure (interface only). Implementation: linux-wireguard.ts; in tests one in memory.
 */
import type { KernelDevice, PeerChange } from "./wireguard-codec.js";

export interface DeviceOptions {
  readonly privateKey: Uint8Array;
  /** Wanted; where another program has it, the kernel chooses one. */
  readonly udpPort: number;
  /** This node's address inside; all others are routed to the device. */
  readonly insideAddress: string;
  readonly mtuBytes: number;
}

export interface EncryptedUnderlay {
  /** @returns why it cannot be; undefined: it can. Asks the kernel, and loads the module. */
  whyUnable(): string | undefined;
  /** The device as the kernel has it, with its keys; undefined: there is none. */
  read(): KernelDevice | undefined;
  /**
   * Makes the device, or makes it so. Sessions are kept while the private key is.
   * @returns the port it listens at.
   */
  ensure(options: DeviceOptions): number;
  /** @param changes at most PEERS_PER_MESSAGE_MAX. */
  setPeers(changes: readonly PeerChange[]): void;
  /** Device and namespace; none is fine. */
  remove(): Promise<void>;
  close(): void;
}
