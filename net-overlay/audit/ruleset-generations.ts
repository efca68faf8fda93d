/**
 * Whether a namespace's ruleset is as our own last transaction left it. The kernel numbers the rulesets of a
 * namespace one by one, so a number tells what a listing would.
 * Edge: to the kernel by the Linux port. Invariant: a ruleset is trusted only if every transaction since it
 * was last known to be right was our own, or left our tables alone.
 * Source: linux/netfilter/nf_tables.h, NFT_MSG_GETGEN.
 */
import type { Linux, NetlinkSocket, NftContext } from "../../base/linux/linux-ports.js";
import { decodeAttributes, encodeMessage, NLM_F_ACK } from "../dataplane/rtnetlink-codec.js";
import type { Transaction } from "./netlink-events.js";

const GET_GENERATION = (10 << 8) | 16;
const NFGENMSG_BYTES = 4;
const NFTA_GEN_ID = 1;
/** The host's own namespace has no path. */
const HOST = "";

interface WatchedPlace {
  readonly netnsPath: string | undefined;
  readonly socket: () => NetlinkSocket;
}

export class RulesetGenerations {
  readonly #linux: Linux;
  readonly #trusted = new Map<string, number>();

  constructor(linux: Linux) {
    this.#linux = linux;
  }

  /** The same port, whose transactions are watched. */
  watched(): Linux {
    const linux = this.#linux;
    return {
      ...linux,
      nft: (netnsPath) => this.#watch(linux.nft(netnsPath), netnsPath),
      netlink: (netnsPath, protocol) => {
        const socket = linux.netlink(netnsPath, protocol);
        if (protocol !== "netfilter") return socket;
        return {
          ...socket,
          requestAll: (messages) =>
            this.#transact({ netnsPath, socket: () => socket }, () => socket.requestAll(messages)),
        };
      },
      createNetns: (path) => {
        linux.createNetns(path);
        this.trust(path, this.read(path)); // nobody was here before us
      },
      deleteNetns: (path) => {
        this.#trusted.delete(path);
        return linux.deleteNetns(path);
      },
    };
  }

  /** @returns undefined where netlink cannot be had. */
  read(netnsPath: string | undefined): number | undefined {
    if (this.#linux.joinNetlinkGroups === undefined) return undefined; // commands alone
    const socket = this.#linux.netlink(netnsPath, "netfilter");
    try {
      return generationBy(socket);
    } finally {
      socket.close();
    }
  }

  isTrusted(netnsPath: string | undefined, generation: number | undefined): boolean {
    return generation !== undefined && this.#trusted.get(netnsPath ?? HOST) === generation;
  }

  trust(netnsPath: string | undefined, generation: number | undefined): void {
    if (generation !== undefined) this.#trusted.set(netnsPath ?? HOST, generation);
  }

  /** What was heard of a transaction: others change tables of their own all day long. */
  follow(netnsPath: string | undefined, { generation, isOwn, touchesOurs }: Transaction): void {
    if ((isOwn || !touchesOurs) && this.isTrusted(netnsPath, generation - 1))
      this.trust(netnsPath, generation);
  }

  #watch(nft: NftContext, netnsPath: string | undefined): NftContext {
    let socket: NetlinkSocket | undefined;
    const place = {
      netnsPath,
      socket: () => {
        socket ??= this.#linux.netlink(netnsPath, "netfilter");
        return socket;
      },
    };
    return {
      ...nft,
      run: (text) => this.#transact(place, () => nft.run(text)),
      close: () => {
        socket?.close();
        nft.close();
      },
    };
  }

  /**
   * @param place.socket a lasting one: to close one of nf_tables after a transaction waits until the kernel
   * has let go of what that removed, which takes many milliseconds.
   */
  #transact<T>({ netnsPath, socket }: WatchedPlace, work: () => T): T {
    if (this.#linux.joinNetlinkGroups === undefined) return work(); // commands alone
    const before = generationBy(socket());
    const wasTrusted = this.isTrusted(netnsPath, before);
    const result = work();
    const after = generationBy(socket());
    if (wasTrusted && before !== undefined && after === before + 1) this.trust(netnsPath, after);
    return result;
  }
}

function generationBy(socket: NetlinkSocket): number | undefined {
  const fixed = new Uint8Array(NFGENMSG_BYTES);
  const [answer] = socket.request(encodeMessage({ type: GET_GENERATION, flags: NLM_F_ACK, fixed }));
  if (answer === undefined) return undefined;
  const bytes = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength);
  return decodeAttributes(bytes.subarray(NFGENMSG_BYTES)).get(NFTA_GEN_ID)?.readUInt32BE(0);
}
