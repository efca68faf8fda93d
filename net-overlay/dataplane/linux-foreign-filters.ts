/**
 * The filters of others in the host's namespace that would stop our packets, opened for our interfaces.
 * Edge: to nftables by the Linux port. An accept of ours does not undo another table's drop, so that rules
 * must stand in the other's chain: iptables' FORWARD where its policy is drop (docker, ufw), and firewalld's
 * chains, which refuse what belongs to no zone.
 * Invariants: only rules that name our interfaces, marked by a comment, at the head of a chain that is there;
 * all are found again by the comment, and removed with us.
 * Source: docs/design/network-audit.md, "Beside others".
 */
import { messageOf } from "../../base/errors/errors.js";
import type { NftContext } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { GATEWAY_LINK_PREFIX, TRANSIT_LINK } from "../balance/mesh-frame.js";

const COMMENT = "skein";
const FORWARDED = [TRANSIT_LINK, `${GATEWAY_LINK_PREFIX}*`].flatMap((name) => [
  `iifname "${name}"`,
  `oifname "${name}"`,
]);
/** Packets of clients come out of the tunnel, though the way to the client is another. */
const ARRIVING = [`iifname "${TRANSIT_LINK}"`];

interface ForeignChain {
  /** Family, table and name. */
  readonly chain: string;
  readonly isStopping: (policy: string) => boolean;
  readonly matches: readonly string[];
}

const CHAINS: readonly ForeignChain[] = [
  ...["ip", "ip6"].map((family) => ({
    chain: `${family} filter FORWARD`,
    isStopping: (policy: string) => policy === "drop",
    matches: FORWARDED,
  })),
  { chain: "inet firewalld filter_FORWARD", isStopping: () => true, matches: FORWARDED },
  { chain: "inet firewalld filter_PREROUTING", isStopping: () => true, matches: ARRIVING },
];

export class LinuxForeignFilters {
  readonly #nft: NftContext;
  readonly #log: Logger;
  /** Chains that could not be opened, told once. */
  readonly #refused = new Set<string>();

  constructor(nft: NftContext, log: Logger) {
    this.#nft = nft;
    this.#log = log;
  }

  /** Again and again: docker and firewalld make their chains anew. */
  open(): void {
    for (const { chain, isStopping, matches } of CHAINS) {
      const found = this.#list(chain);
      if (found === undefined || !isStopping(found.policy) || found.ownHandles.length >= matches.length)
        continue;
      this.#change(chain, [
        ...found.ownHandles.map((handle) => `delete rule ${chain} handle ${handle}`),
        ...matches.map((match) => `insert rule ${chain} ${match} counter accept comment "${COMMENT}"`),
      ]);
    }
  }

  removeAll(): void {
    for (const { chain } of CHAINS)
      this.#change(
        chain,
        (this.#list(chain)?.ownHandles ?? []).map((handle) => `delete rule ${chain} handle ${handle}`),
      );
  }

  #change(chain: string, lines: readonly string[]): void {
    if (lines.length === 0) return;
    try {
      this.#nft.run(lines.join("\n"));
      this.#refused.delete(chain);
    } catch (error) {
      // a table may have an owner; and its owner may be making it anew just now
      if (!this.#refused.has(chain))
        this.#log.warn(
          "a foreign filter cannot be opened for published ports: let interfaces skein-vxt and skg* pass it",
          { chain, error: messageOf(error) },
        );
      this.#refused.add(chain);
    }
  }

  #list(chain: string): { policy: string; ownHandles: number[] } | undefined {
    let listed: string;
    try {
      listed = this.#nft.list(`list chain ${chain}`, { json: true });
    } catch (error) {
      if (/No such file/.test(messageOf(error))) return undefined;
      throw error;
    }
    return readForeignChain(listed);
  }
}

/** @param listed libnftables' JSON of the chain. */
export function readForeignChain(listed: string): { policy: string; ownHandles: number[] } {
  const parsed = JSON.parse(listed) as {
    nftables: { chain?: { policy?: string }; rule?: { handle: number; comment?: string } }[];
  }; // the shape is libnftables-json(5)'s
  const ownHandles = parsed.nftables.flatMap(({ rule }) => (rule?.comment === COMMENT ? [rule.handle] : []));
  return {
    policy: parsed.nftables.find(({ chain }) => chain !== undefined)?.chain?.policy ?? "accept",
    ownHandles,
  };
}
