/**
 * Makes UDP clients find another backend: a flow in the connection table sticks to the one it was given,
 * dead or not.
 * Edge: to the kernel's connection table by the Linux port.
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Linux, NetlinkSocket } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { deleteFlow, dumpUdpFlowsOf, dumpUdpFlowsTo } from "./conntrack-messages.js";
import { isRefusal } from "./linux-route-socket.js";

const FAMILIES = [4, 6] as const;

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
   * A kernel that cannot filter (before Linux 5.8) is no reason to fail: flows then end by their own timeout.
   */
  forgetUdpFlowsOf(servers: readonly string[]): void {
    try {
      for (const server of servers) this.#forget(dumpUdpFlowsOf(server));
    } catch (error) {
      this.#log.warn("UDP flows of a gone backend were not removed", { servers, error: messageOf(error) });
    }
  }

  /** A flow that came before its port was published goes on to where it went. */
  forgetUdpFlowsTo(ports: readonly number[]): void {
    try {
      for (const port of ports) for (const family of FAMILIES) this.#forget(dumpUdpFlowsTo(port, family));
    } catch (error) {
      this.#log.warn("UDP flows to a published port were not removed", { ports, error: messageOf(error) });
    }
  }

  #forget(dump: Uint8Array): void {
    this.#socket ??= this.#linux.netlink(this.#netnsPath, "netfilter");
    for (const flow of this.#socket.request(dump)) {
      try {
        this.#socket.request(deleteFlow(flow));
      } catch (error) {
        if (!isRefusal(error, "ENOENT")) throw error; // it ended by itself
      }
    }
  }

  close(): void {
    this.#socket?.close();
  }
}

/** What was in one list of backends and is in no list now. */
export function leavers(before: Iterable<string>, after: Iterable<string>): string[] {
  const staying = new Set(after);
  return [...new Set(before)].filter((address) => !staying.has(address));
}
