/**
 * Hears what changes in a namespace. Edge: to the kernel by netlink sockets.
 * Invariants: whatever was lost counts as a change; a watch that breaks is opened anew, and where none can
 * be had the audit's timer is what remains.
 */
import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import { messageOf } from "../../base/errors/errors.js";
import { packetReader } from "../../base/linux/linux-packet-stream.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import type { Change } from "./kernel-audit.js";
import type { Transaction } from "./netlink-events.js";
import { ROUTE_GROUPS, RULESET_GROUPS, TransactionReader } from "./netlink-events.js";

export interface NetWatchOptions {
  readonly linux: Linux;
  readonly netnsPath: string | undefined;
  readonly log: Logger;
  /** @default both */
  readonly changes?: readonly Change[];
  readonly onChange: (change: Change) => void;
  /** Of nftables, our own too, before `onChange`. */
  readonly onTransaction?: (transaction: Transaction) => void;
}

export class LinuxNetWatch {
  readonly #options: NetWatchOptions;
  readonly #readers = new Map<Change, Socket>();
  #closed = false;

  constructor(options: NetWatchOptions) {
    this.#options = options;
    for (const change of options.changes ?? (["routes", "ruleset"] as const)) this.#open(change);
  }

  close(): void {
    this.#closed = true;
    for (const reader of this.#readers.values()) reader.destroy();
    this.#readers.clear();
  }

  #open(change: Change): void {
    const { linux, netnsPath, log, onChange } = this.#options;
    if (linux.joinNetlinkGroups === undefined) return;
    const of = change === "routes" ? ROUTE_GROUPS : RULESET_GROUPS;
    const protocol = change === "routes" ? "route" : "netfilter";
    let reader: Socket;
    try {
      const fd = linux.joinNetlinkGroups({ netnsPath, protocol, groups: of });
      try {
        reader = packetReader(fd);
      } catch (error) {
        closeSync(fd);
        throw error;
      }
    } catch (error) {
      log.warn("changes of the network are not heard: they are looked for now and then", {
        what: change,
        error: messageOf(error),
      });
      return;
    }
    this.#readers.set(change, reader);
    reader.unref();
    const transactions = new TransactionReader(process.pid);
    reader.on("data", (datagram: Buffer) => {
      if (change === "routes") {
        onChange(change);
        return;
      }
      let isForeign = false;
      for (const transaction of transactions.read(datagram)) {
        this.#options.onTransaction?.(transaction);
        isForeign ||= !transaction.isOwn;
      }
      if (isForeign) onChange(change);
    });
    reader.on("error", (error) => log.debug("events of the network were lost", { error: error.message }));
    reader.once("close", () => {
      if (this.#closed) return;
      this.#open(change);
      onChange(change);
    });
  }
}
