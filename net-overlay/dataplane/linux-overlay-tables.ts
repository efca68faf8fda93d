/**
 * The nft tables of one overlay network in its namespace, one per family.
 * Edge: to nftables by the Linux port. Invariants: a step costs what it touches, and is one transaction per
 * family unless it is large; what is filled in slices keeps every VIP working that had a backend before and
 * after.
 * Source: docs/design/network-overlay.md, "Balancing" and "Cost".
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Linux, NetlinkSocket } from "../../base/linux/linux-ports.js";
import { removeChain } from "../balance/nft-text.js";
import type { OverlayFrameOptions } from "../balance/overlay-ruleset.js";
import {
  changeText,
  NO_TABLE,
  overlayFrame,
  overlayFrameChains,
  tableName,
} from "../balance/overlay-ruleset.js";
import type { AddressFamily, OverlayTable, TableChange } from "../balance/overlay-table.js";
import { changeBetween, overlayTable, partsOf, SERVICE_PREFIX } from "../balance/overlay-table.js";
import type { OverlayPlan } from "../endpoints/overlay-plan.js";
import type { OverlayChanges } from "../endpoints/overlay-planner.js";
import { decodeChain, decodeElements, dumpChains, dumpElements } from "./nft-messages.js";
import { familyNumber, overlayBatch } from "./overlay-batch.js";
import { readIp } from "./rtnetlink-codec.js";

const TABLE = "skein";
/** Some milliseconds' work, for us and for the kernel. */
const BACKENDS_AT_ONCE = 400;
/** A change of more services is carried out in parts, which is not one transaction. */
const CHAINS_PER_STEP_MAX = 40;
/** Of versions that looked at each packet for what is to be refused. */
const FORMER = { chain: "refuse", set: "idle_vips" } as const;
/** What is sent at once has at most 128 KiB; more goes by text, whose library knows how. */
const BATCH_BYTES_MAX = 120 * 1024;

export class OverlayTables {
  readonly #linux: Linux;
  readonly #path: string;
  readonly #socket: NetlinkSocket;

  constructor(linux: Linux, path: string) {
    this.#linux = linux;
    this.#path = path;
    this.#socket = linux.netlink(path, "netfilter");
  }

  /** @param changes since the plan that the tables hold. @throws {InternalError} naming the family. */
  *step(
    plan: OverlayPlan,
    changes: OverlayChanges,
    families: readonly AddressFamily[],
  ): Generator<undefined, void> {
    const ids = [...changes.services.keys()];
    const before = [...changes.services.values()].flatMap((service) => service ?? []);
    const after = ids.flatMap((id) => plan.services.get(id) ?? []);
    for (const family of families) {
      const [old, next] = [
        overlayTable(family, { services: before, localTasks: changes.localTasks }),
        overlayTable(family, { services: after, localTasks: plan.localTasks }),
      ];
      const change = changeBetween(old, next);
      if (change.filled.size <= CHAINS_PER_STEP_MAX) {
        this.#carryOut(change, family);
        continue;
      }
      for (const part of partsOf(change, BACKENDS_AT_ONCE)) {
        this.#carryOut(part, family);
        yield;
      }
    }
  }

  /**
   * Brings the tables to the plan, whatever they hold. Pauses are between slices.
   * @param options.isClamped as of `overlayFrame`.
   */
  *fill(
    plan: OverlayPlan,
    { families, isClamped }: { families: readonly AddressFamily[]; isClamped: boolean },
  ): Generator<undefined, void> {
    for (const family of families) {
      this.#makeFrame(family, { gateway: family === "ip" ? plan.gateway : plan.gateway6, isClamped });
      yield;
      const before = this.#read(family);
      const services = plan.services.values();
      const after = overlayTable(family, { services, localTasks: plan.localTasks });
      yield;
      for (const part of partsOf(changeBetween(before, after), BACKENDS_AT_ONCE)) {
        this.#carryOut(part, family);
        yield;
      }
    }
  }

  /** Takes a family's table away; missing is fine. */
  remove(family: AddressFamily): void {
    const table = tableName(family);
    this.#run(`table ${table}\ndelete table ${table}`);
  }

  close(): void {
    this.#socket.close();
  }

  #makeFrame(family: AddressFamily, options: OverlayFrameOptions): void {
    const frame = overlayFrame(family, options);
    const wanted = new Set(overlayFrameChains(family, options));
    const stale = this.#chains(family).filter(
      (name) => !name.startsWith(SERVICE_PREFIX) && !wanted.has(name),
    );
    const table = tableName(family);
    const removals = stale.flatMap((name) => removeChain(name, table));
    if (stale.includes(FORMER.chain)) removals.push(`delete set ${table} ${FORMER.set}`);
    try {
      this.#run([...removals, frame].join("\n"));
    } catch (error) {
      if (!/refused/.test(messageOf(error))) throw error;
      // sets or chains of another shape, by another version of ours: at once, because nothing of it can stay
      this.#run(`table ${table}\ndelete table ${table}\n${frame}`);
    }
  }

  /** Opened for each use: its library keeps what it read. */
  #run(text: string): void {
    const nft = this.#linux.nft(this.#path);
    try {
      nft.run(text);
    } finally {
      nft.close();
    }
  }

  /** Which backends a chain has is not read: it is filled again. */
  #read(family: AddressFamily): OverlayTable {
    const number = familyNumber(family);
    const elements = (set: string): ReturnType<typeof decodeElements> =>
      this.#socket.request(dumpElements({ family: number, table: TABLE, set })).flatMap(decodeElements);
    const chains = this.#chains(family).filter((name) => name.startsWith(SERVICE_PREFIX));
    const nobody = { by: "turn", values: [] } as const;
    const half = (key: Uint8Array): string => addressOf(key.subarray(0, key.length / 2));
    return {
      ...NO_TABLE,
      chains: new Map(chains.map((name) => [name, nobody])),
      vips: new Map(elements("vips").map(({ key, chain = "" }) => [addressOf(key), chain])),
      hairpins: new Set(elements("hairpins").map(({ key }) => half(key))),
    };
  }

  #chains(family: AddressFamily): string[] {
    return this.#socket
      .request(dumpChains(familyNumber(family)))
      .map(decodeChain)
      .flatMap(({ table, name }) => (table === TABLE ? [name] : []));
  }

  #carryOut(change: TableChange, family: AddressFamily): void {
    const messages = overlayBatch(change, family);
    if (messages.length === 0) return;
    if (messages.reduce((sum, { length }) => sum + length + 3, 0) > BATCH_BYTES_MAX) {
      this.#run(changeText(change, family).join("\n"));
      return;
    }
    const [refused] = this.#socket.requestAll(messages);
    if (refused !== undefined) throw refused.error;
  }
}

function addressOf(bytes: Uint8Array): string {
  return readIp(Buffer.from(bytes)) ?? "";
}
