/**
 * The mesh's nft table of one family in the kernel. Edge: to nftables by the Linux port.
 * Invariants: after `apply` the table is what the plan says; a change is one transaction; a table whose state
 * is not known is filled in slices, between which the event loop serves others, and ports that stay open have
 * their rules at every moment.
 * Source: docs/design/network-ingress.md, "Cost".
 */
import { messageOf } from "../../base/errors/errors.js";
import type { NetlinkSocket, NftContext } from "../../base/linux/linux-ports.js";
import { nextTurn } from "../../base/loop/process-turn.js";
import type { MeshFamily } from "../balance/mesh-family.js";
import { versionChain } from "../balance/mesh-frame.js";
import {
  isSameFrame,
  type PortChanges,
  portChanges,
  renderMeshFill,
  renderMeshRuleset,
  renderSets,
} from "../balance/mesh-ruleset.js";
import type { MeshPlan } from "../endpoints/mesh-plan.js";
import { portBatch } from "./mesh-batch.js";

/** Chains and backends that change at once; more are filled in slices, as after a start. */
const STEP_WEIGHT_MAX = 500;

export class LinuxMeshTable {
  readonly #nft: NftContext;
  readonly #socket: NetlinkSocket;
  readonly #family: MeshFamily;

  /** @param ways both into the same namespace; the caller closes them. */
  constructor(ways: { readonly nft: NftContext; readonly socket: NetlinkSocket }, family: MeshFamily) {
    this.#nft = ways.nft;
    this.#socket = ways.socket;
    this.#family = family;
  }

  /** @param previous what the table holds; undefined: not known. */
  async apply(previous: MeshPlan | undefined, next: MeshPlan): Promise<void> {
    const family = this.#family;
    if (previous !== undefined && isSameFrame(previous, next)) {
      const changes = portChanges(previous, next, family);
      if (weightOf(changes) <= STEP_WEIGHT_MAX) {
        this.#change(previous, next, changes);
        return;
      }
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

  /**
   * nft(8)'s library reads every chain before it adds a rule; where backends alone change, the kernel is told
   * directly.
   */
  #change(previous: MeshPlan, next: MeshPlan, changes: PortChanges): void {
    const family = this.#family;
    if (renderSets(previous, next, family).length === 0) {
      const messages = portBatch(changes, family);
      if (messages !== undefined) {
        const [refused] = messages.length === 0 ? [] : this.#socket.requestAll(messages);
        if (refused !== undefined) throw refused.error;
        return;
      }
    }
    const text = renderMeshRuleset(previous, next, family);
    if (text !== "") this.#nft.run(text);
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

function weightOf({ filled, freed }: PortChanges): number {
  return filled.reduce((sum, { weight }) => sum + weight, freed.length);
}
