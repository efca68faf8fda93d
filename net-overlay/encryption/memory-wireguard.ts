/**
 * WireGuard's device in memory: the twin for tests and simulation. Pure.
 */
import type { DeviceOptions, EncryptedUnderlay } from "./encrypted-underlay.js";
import { publicKeyText } from "./key-pair.js";
import type { KernelDevice, KernelPeer, PeerChange } from "./wireguard-codec.js";

const ZEROS = new Uint8Array(32);

export class MemoryWireguard implements EncryptedUnderlay {
  /** Why the kernel cannot. */
  unable: string | undefined;
  /** Another program has it. */
  takenPort = 0;
  device: (DeviceOptions & { readonly listenPort: number }) | undefined;
  /** By public key, base64. A test may say what a pair did. */
  readonly peers = new Map<string, KernelPeer>();
  /** Every change, in order. */
  readonly changes: PeerChange[] = [];

  whyUnable(): string | undefined {
    return this.unable;
  }

  read(): KernelDevice | undefined {
    if (this.device === undefined) return undefined;
    const { privateKey, listenPort } = this.device;
    return { privateKey, listenPort, peers: [...this.peers.values()] };
  }

  ensure(options: DeviceOptions): number {
    const listenPort =
      this.device?.listenPort ?? (options.udpPort === this.takenPort ? 50_000 : options.udpPort);
    this.device = { ...options, listenPort };
    return listenPort;
  }

  setPeers(changes: readonly PeerChange[]): void {
    for (const change of changes) {
      this.changes.push(change);
      const text = publicKeyText(change.publicKey);
      const before = this.peers.get(text);
      if (change.remove || (change.updateOnly && before === undefined)) {
        this.peers.delete(text);
        continue;
      }
      this.peers.set(text, {
        publicKey: change.publicKey,
        presharedKey: change.presharedKey ?? before?.presharedKey ?? ZEROS,
        endpoint: change.endpoint ?? before?.endpoint,
        insideAddresses:
          change.insideAddress === undefined ? (before?.insideAddresses ?? []) : [change.insideAddress],
        lastHandshakeMs: before?.lastHandshakeMs,
        receivedBytes: before?.receivedBytes ?? 0,
        sentBytes: before?.sentBytes ?? 0,
      });
    }
  }

  async remove(): Promise<void> {
    this.device = undefined;
    this.peers.clear();
  }

  close(): void {
    this.changes.length = 0;
  }
}
