/**
 * Makes UDP clients find another backend: a flow in the connection table sticks to the one it was given,
 * dead or not.
 * Edge: to the kernel's connection table by the Linux port. Invariant: a table that cannot be read is no
 * reason to fail: flows then end by their own timeout.
 */
import { readFileSync } from "node:fs";
import { messageOf } from "../../base/errors/errors.js";
import type { Linux, NetlinkSocket } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import type { UdpFlow } from "./conntrack-messages.js";
import { decodeUdpFlow, deleteFlow, dumpUdpFlows, dumpUdpFlowsTo, familyOf } from "./conntrack-messages.js";
import { isRefusal } from "./linux-route-socket.js";

const COUNT_FILE = "/proc/sys/net/netfilter/nf_conntrack_count";
const FAMILIES = [4, 6] as const;
/** Flows deleted after one look at the table; when there are more, it is looked at again. */
const DELETED_AT_ONCE_MAX = 4_096;

export class LinuxConntrack {
  readonly #linux: Linux;
  readonly #netnsPath: string | undefined;
  readonly #log: Logger;
  #socket: NetlinkSocket | undefined;

  constructor(linux: Linux, options: { netnsPath: string | undefined; log: Logger }) {
    this.#linux = linux;
    this.#netnsPath = options.netnsPath;
    this.#log = options.log;
  }

  /**
   * One look at the table for each family, however many they are: the kernel walks through all of it, which
   * takes five milliseconds for 262 144 buckets. A namespace without connections is not looked at.
   */
  forgetUdpFlowsOf(servers: readonly string[]): void {
    if (servers.length === 0 || this.#isEmpty()) return;
    for (const family of FAMILIES) {
      const gone = new Set(servers.filter((server) => familyOf(server) === family));
      const [first] = gone;
      if (first === undefined) continue;
      const only = gone.size === 1 && family === 4 ? first : undefined;
      this.#try("UDP flows of a gone backend were not removed", { servers }, () =>
        this.#forget(dumpUdpFlows(family, only), ({ server }) => gone.has(server)),
      );
    }
  }

  /** A flow that came before its port was published goes on to where it went. */
  forgetUdpFlowsTo(ports: readonly number[]): void {
    for (const port of ports)
      for (const family of FAMILIES)
        this.#try("UDP flows to a published port were not removed", { ports }, () =>
          this.#forget(dumpUdpFlowsTo(port, family), () => true),
        );
  }

  /**
   * Looks through all UDP flows, in slices, for those that lead to a backend which left while nobody looked,
   * as before a restart.
   */
  *forgetStrays(isStray: (flow: UdpFlow) => boolean): Generator<undefined, void> {
    for (const family of FAMILIES) {
      try {
        yield* this.#forgetInSlices(dumpUdpFlows(family), isStray);
      } catch (error) {
        this.#log.warn("UDP flows of gone backends were not looked for", { error: messageOf(error) });
      }
    }
  }

  close(): void {
    this.#socket?.close();
  }

  #isEmpty(): boolean {
    const read = (): boolean => Number(readFileSync(COUNT_FILE, "utf8")) === 0;
    try {
      return this.#netnsPath === undefined ? read() : this.#linux.inNetns(this.#netnsPath, read);
    } catch {
      return false; // not told: it is looked at
    }
  }

  #try(what: string, fields: Record<string, unknown>, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#log.warn(what, { ...fields, error: messageOf(error) });
    }
  }

  #forget(dump: Uint8Array, isMeant: (flow: UdpFlow) => boolean): void {
    for (const step of this.#forgetInSlices(dump, isMeant)) if (step !== undefined) continue;
  }

  *#forgetInSlices(dump: Uint8Array, isMeant: (flow: UdpFlow) => boolean): Generator<undefined, void> {
    this.#socket ??= this.#linux.netlink(this.#netnsPath, "netfilter");
    const socket = this.#socket;
    for (;;) {
      const meant: Uint8Array[] = [];
      for (const payloads of socket.dump(dump)) {
        for (const payload of payloads) {
          const flow = decodeUdpFlow(payload);
          if (flow !== undefined && isMeant(flow)) meant.push(payload);
        }
        if (meant.length >= DELETED_AT_ONCE_MAX) break;
        yield;
      }
      for (const [index, flow] of meant.entries()) {
        this.#delete(socket, flow);
        if (index % 64 === 63) yield;
      }
      if (meant.length < DELETED_AT_ONCE_MAX) return;
    }
  }

  #delete(socket: NetlinkSocket, flow: Uint8Array): void {
    try {
      socket.request(deleteFlow(flow));
    } catch (error) {
      if (!isRefusal(error, "ENOENT")) throw error; // it ended by itself
    }
  }
}

/** What was in one list of backends and is in no list now. */
export function leavers(before: Iterable<string>, after: Iterable<string>): string[] {
  const staying = new Set(after);
  return [...new Set(before)].filter((address) => !staying.has(address));
}
