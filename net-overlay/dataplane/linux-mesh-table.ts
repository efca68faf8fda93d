/**
 * The mesh's nft table of one family in the kernel. Edge: to nftables by the Linux port.
 * Invariants: after `apply` the table is what the plan says; a change is one transaction; a table whose state
 * is not known is filled in slices, between which the event loop serves others, and ports that stay open have
 * their rules at every moment.
 * Source: docs/design/network-ingress.md, "Cost".
 */
import { messageOf } from "../../base/errors/errors.js";
import type { NftContext } from "../../base/linux/linux-ports.js";
import { nextTurn } from "../../base/loop/process-turn.js";
import type { MeshFamily } from "../balance/mesh-family.js";
import { versionChain } from "../balance/mesh-frame.js";
import { renderMeshFill, renderMeshRuleset } from "../balance/mesh-ruleset.js";
import type { MeshPlan } from "../endpoints/mesh-plan.js";

export class LinuxMeshTable {
  readonly #nft: NftContext;
  readonly #family: MeshFamily;

  constructor(nft: NftContext, family: MeshFamily) {
    this.#nft = nft;
    this.#family = family;
  }

  /** @param previous what the table holds; undefined: not known. */
  async apply(previous: MeshPlan | undefined, next: MeshPlan): Promise<void> {
    const family = this.#family;
    if (previous !== undefined) {
      const text = renderMeshRuleset(previous, next, family);
      if (text !== "") this.#nft.run(text);
      return;
    }
    const chains = this.#listChains();
    if (chains !== undefined && !chains.has(versionChain(next, family))) {
      // Another version's or another node number's: at once, because nothing of it can stay.
      this.#nft.run(renderMeshRuleset(undefined, next, family));
      return;
    }
    for (const slice of renderMeshFill(next, { chains, family })) {
      this.#nft.run(slice);
      await nextTurn();
    }
  }

  isThere(): boolean {
    const { word, table } = this.#family;
    return this.#nft.list(`list tables ${word}`).includes(`table ${table}`);
  }

  remove(): void {
    const { table } = this.#family;
    this.#nft.run(`table ${table}\ndelete table ${table}`);
  }

  /** Names of the table's chains; undefined: there is no table. */
  #listChains(): Set<string> | undefined {
    const { word, table } = this.#family;
    let listed: string;
    try {
      listed = this.#nft.list(`list chains ${word}`, { json: true });
    } catch (error) {
      if (/No such file/.test(messageOf(error))) return undefined;
      throw error;
    }
    const own = table.slice(word.length + 1);
    const parsed = JSON.parse(listed) as {
      nftables: { chain?: { table: string; name: string } }[];
    }; // the shape is libnftables-json(5)'s
    const names = parsed.nftables.flatMap(({ chain }) => (chain?.table === own ? [chain.name] : []));
    return names.length === 0 ? undefined : new Set(names);
  }
}
