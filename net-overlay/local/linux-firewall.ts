/**
 * The rules of local networks brought to the kernel and kept there.
 * Edge: to nft by the Linux port. Invariants: only our own tables are written, save accept rules of our links
 * in a foreign FORWARD chain that drops by default; a table that somebody flushed away is made anew.
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Linux, NftContext } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { type Family, type FirewallPlan, renderLocalRuleset, tableOf } from "./local-ruleset.js";

const COMMENT = "skein-net";
const FAMILIES = [4, 6] as const;

export interface FirewallPlans {
  readonly 4: FirewallPlan;
  readonly 6: FirewallPlan;
}

export class LinuxFirewall {
  readonly #linux: Linux;
  readonly #netnsPath: string | undefined;
  readonly #log: Logger;
  #context: NftContext | undefined;
  readonly #applied = new Map<Family, FirewallPlan>();

  constructor(linux: Linux, options: { netnsPath: string | undefined; log: Logger }) {
    this.#linux = linux;
    this.#netnsPath = options.netnsPath;
    this.#log = options.log;
  }

  apply(plans: FirewallPlans): void {
    const links = new Set<string>();
    for (const family of FAMILIES) {
      const plan = plans[family];
      const before = this.#applied.get(family);
      if (before === undefined && plan.networks.length === 0) continue;
      for (const { link } of plan.networks)
        if (!before?.networks.some((network) => network.link === link)) links.add(link);
      this.#applyFamily(family, plan);
    }
    if (links.size > 0) this.#openForwarding(plans);
  }

  /** Looks at what others did to our tables, and to FORWARD, and repairs. */
  check(plans: FirewallPlans): void {
    for (const family of FAMILIES) {
      const [word = ""] = tableOf(family).split(" ");
      const listed = this.#applied.has(family) ? this.#nft.list(`list tables ${word}`) : "";
      if (!this.#applied.has(family) || listed.split("\n").includes(`table ${tableOf(family)}`)) continue;
      this.#log.warn("the rules of local networks were gone and are made again", { table: tableOf(family) });
      this.#applied.delete(family);
    }
    this.apply(plans);
    this.#openForwarding(plans);
  }

  removeAll(): void {
    for (const family of FAMILIES) {
      this.#nft.run(`table ${tableOf(family)}\ndelete table ${tableOf(family)}`);
      const [word = ""] = tableOf(family).split(" ");
      for (const { handle } of this.#forwardChain(word)?.rules ?? [])
        this.#nft.run(`delete rule ${word} filter FORWARD handle ${handle}`);
    }
    this.#applied.clear();
  }

  close(): void {
    this.#context?.close();
    this.#context = undefined;
  }

  get #nft(): NftContext {
    this.#context ??= this.#linux.nft(this.#netnsPath);
    return this.#context;
  }

  #applyFamily(family: Family, plan: FirewallPlan): void {
    const before = this.#applied.get(family);
    const change = renderLocalRuleset(family, before, plan);
    if (change === "") return;
    try {
      this.#nft.run(change);
    } catch (error) {
      this.#applied.delete(family);
      if (before === undefined) throw error;
      this.#log.warn("the rules of local networks are made anew", { error: messageOf(error) });
      this.#nft.run(renderLocalRuleset(family, undefined, plan));
    }
    this.#applied.set(family, plan);
  }

  /**
   * An accept of ours does not undo another table's drop: where FORWARD drops by default it is opened for us.
   */
  #openForwarding(plans: FirewallPlans): void {
    for (const family of FAMILIES) {
      const [word = ""] = tableOf(family).split(" ");
      try {
        const chain = plans[family].networks.length === 0 ? undefined : this.#forwardChain(word);
        if (chain?.policy !== "drop") continue;
        const lines = plans[family].networks
          .filter(({ link }) => !chain.rules.some((rule) => rule.link === link))
          .flatMap(({ link }) =>
            ["iifname", "oifname"].map(
              (side) =>
                `insert rule ${word} filter FORWARD ${side} "${link}" counter accept comment "${COMMENT}"`,
            ),
          );
        const gone = chain.rules
          .filter((rule) => !plans[family].networks.some(({ link }) => link === rule.link))
          .map(({ handle }) => `delete rule ${word} filter FORWARD handle ${handle}`);
        if (lines.length + gone.length > 0) this.#nft.run([...lines, ...gone].join("\n"));
      } catch (error) {
        this.#log.warn("the foreign FORWARD chain could not be opened", { error: messageOf(error) });
      }
    }
  }

  #forwardChain(word: string): ForwardChain | undefined {
    let listed: string;
    try {
      listed = this.#nft.list(`list chain ${word} filter FORWARD`, { json: true });
    } catch (error) {
      if (/No such file/.test(messageOf(error))) return undefined;
      throw error;
    }
    return readForwardChain(listed);
  }
}

interface ForwardChain {
  readonly policy: string;
  /** Of ours. */
  readonly rules: readonly { readonly handle: number; readonly link: string }[];
}

interface ListedRule {
  readonly handle: number;
  readonly comment?: string;
  readonly expr?: readonly { readonly match?: { readonly right?: unknown } }[];
}

/** @param listed libnftables' JSON of the chain. */
export function readForwardChain(listed: string): ForwardChain {
  const { nftables } = JSON.parse(listed) as {
    nftables: { chain?: { policy?: string }; rule?: ListedRule }[];
  }; // the shape is libnftables-json(5)'s
  return {
    policy: nftables.find(({ chain }) => chain !== undefined)?.chain?.policy ?? "accept",
    rules: nftables.flatMap(({ rule }) => {
      if (rule?.comment !== COMMENT) return [];
      const link = rule.expr?.find(({ match }) => typeof match?.right === "string")?.match?.right;
      return [{ handle: rule.handle, link: String(link) }];
    }),
  };
}
