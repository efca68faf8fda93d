/**
 * Compares tables of nftables with what they would be if they were made from nothing. Edge: to the kernel by
 * the Linux port, and to nft(8) for large tables.
 * What is wanted is loaded into an empty namespace and listed there, so that both sides are in the same
 * words. Invariants: a ruleset that our own last transaction left is not read again; nothing is said about a
 * table that changed while it was compared.
 */
import { existsSync } from "node:fs";
import { messageOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { nftAside } from "../../base/linux/process-command.js";
import { nextTurn } from "../../base/loop/process-turn.js";
import type { Difference } from "./compare.js";
import type { WantedTable } from "./facts.js";
import type { RulesetGenerations } from "./ruleset-generations.js";
import type { TableListing } from "./ruleset-listing.js";
import { compareListings, readTableListing } from "./ruleset-listing.js";

/** Listings of short texts, which are the same in every sandbox. */
const REMEMBERED_MAX = 8;
const REMEMBERED_TEXT_LENGTH = 2_000;

/** What nft takes in or lists within some milliseconds; more is done by a process of its own. */
const INSIDE_TEXT_LENGTH = 32 * 1024;
const NO_ITEMS: TableListing = new Map();

export class LinuxRulesetAudit {
  readonly #linux: Linux;
  readonly #generations: RulesetGenerations;
  readonly #scratchPath: string;
  readonly #remembered = new Map<string, TableListing>();

  /** @param options.scratchPath of the empty namespace; made when it is needed. */
  constructor(linux: Linux, options: { generations: RulesetGenerations; scratchPath: string }) {
    this.#linux = linux;
    this.#generations = options.generations;
    this.#scratchPath = options.scratchPath;
  }

  /** @returns differences of all tables; undefined: it changed meanwhile. */
  async compare(
    tables: readonly WantedTable[],
    at: { place: string; netnsPath: string | undefined },
  ): Promise<Difference[] | undefined> {
    const { place, netnsPath } = at;
    const generation = this.#generations.read(netnsPath);
    if (tables.length === 0 || this.#generations.isTrusted(netnsPath, generation)) return [];
    const differences: Difference[] = [];
    for (const { name, text: render } of tables) {
      const text = render();
      await nextTurn();
      const isLarge = text.length > INSIDE_TEXT_LENGTH;
      const found = isLarge ? await listAside(netnsPath, name) : this.#list(netnsPath, name);
      await nextTurn();
      // a table that is gone, as after a flush, has nothing to be compared with
      const wanted =
        found === undefined
          ? NO_ITEMS
          : isLarge
            ? await this.#canonicalAside(name, text)
            : this.#canonical(name, text);
      await nextTurn();
      differences.push(...compareListings(wanted, found, { place, table: name }));
      await nextTurn();
    }
    if (this.#generations.read(netnsPath) !== generation) return undefined;
    if (differences.length === 0) this.#generations.trust(netnsPath, generation);
    return differences;
  }

  async close({ isLeaving }: { isLeaving: boolean }): Promise<void> {
    if (isLeaving && existsSync(this.#scratchPath)) await this.#linux.deleteNetns(this.#scratchPath);
  }

  #canonical(name: string, text: string): TableListing {
    const known = this.#remembered.get(text);
    if (known !== undefined) return known;
    if (!existsSync(this.#scratchPath)) this.#linux.createNetns(this.#scratchPath);
    const nft = this.#linux.nft(this.#scratchPath);
    try {
      nft.run(`flush ruleset\n${text}`);
      const listing = readTableListing(nft.list(`list table ${name}`));
      nft.run("flush ruleset");
      if (text.length <= REMEMBERED_TEXT_LENGTH && this.#remembered.size < REMEMBERED_MAX)
        this.#remembered.set(text, listing);
      return listing;
    } finally {
      nft.close();
    }
  }

  async #canonicalAside(name: string, text: string): Promise<TableListing> {
    if (!existsSync(this.#scratchPath)) this.#linux.createNetns(this.#scratchPath);
    await nftAside(this.#scratchPath, ["-f", "-"], `flush ruleset\n${text}\n`);
    const listing = readTableListing(await nftAside(this.#scratchPath, listWords(name)));
    await nftAside(this.#scratchPath, ["flush", "ruleset"]);
    return listing;
  }

  #list(netnsPath: string | undefined, name: string): TableListing | undefined {
    const nft = this.#linux.nft(netnsPath);
    try {
      return readTableListing(nft.list(`list table ${name}`));
    } catch (error) {
      if (/No such file/.test(messageOf(error))) return undefined;
      throw error;
    } finally {
      nft.close();
    }
  }
}

async function listAside(netnsPath: string | undefined, name: string): Promise<TableListing | undefined> {
  try {
    return readTableListing(await nftAside(netnsPath, listWords(name)));
  } catch (error) {
    if (/No such file|ENOENT/.test(messageOf(error))) return undefined;
    throw error;
  }
}

function listWords(name: string): string[] {
  return ["list", "table", ...name.split(" ")];
}
