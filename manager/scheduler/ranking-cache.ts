/**
 * Rankings by what they are for, so that the next task of the kind finds one that needs little catching up.
 * Pure. Bounds: RANKINGS_MAX rankings and RANKING_BYTES_MAX bytes; the longest unused goes first.
 */
import type { FilterPipeline } from "./filter.js";
import type { NodeSet } from "./node-set.js";
import { Ranking, type RankingOptions } from "./ranking.js";

const RANKINGS_MAX = 256;
const RANKING_BYTES_MAX = 32 * 1024 * 1024;

/** @returns equal texts for equal rankings. */
export function rankingKey(pipeline: FilterPipeline, options: RankingOptions): string {
  const { serviceId, binPack, preferences } = options;
  return `${serviceId}\n${binPack ? "bin-pack" : "spread"} ${preferences.join("\t")}\n${pipeline.key}`;
}

export class RankingCache {
  readonly #set: NodeSet;
  /** The longest unused first. */
  readonly #rankings = new Map<string, Ranking>();
  /** Asked for last: most likely asked for next. */
  #newest: Ranking | undefined;

  constructor(set: NodeSet) {
    this.#set = set;
  }

  /** @param key of `rankingKey`. @returns one that has seen every change. */
  get(key: string, pipeline: FilterPipeline, options: RankingOptions): Ranking {
    const kept = this.#rankings.get(key);
    if (kept?.sync() !== true) return this.#make(key, pipeline, options);
    if (kept !== this.#newest) {
      this.#rankings.delete(key);
      this.#rankings.set(key, kept);
      this.#newest = kept;
    }
    return kept;
  }

  clear(): void {
    this.#rankings.clear();
    this.#newest = undefined;
  }

  #make(key: string, pipeline: FilterPipeline, options: RankingOptions): Ranking {
    this.#rankings.delete(key);
    const made = new Ranking(this.#set, pipeline, options);
    this.#rankings.set(key, made);
    this.#newest = made;
    let bytes = 0; // counted anew: rankings grow with the number of nodes
    for (const ranking of this.#rankings.values()) bytes += ranking.bytes;
    for (const [oldest, ranking] of this.#rankings) {
      const isFull = this.#rankings.size > RANKINGS_MAX || bytes > RANKING_BYTES_MAX;
      if (ranking === made || !isFull) break;
      this.#rankings.delete(oldest);
      bytes -= ranking.bytes;
    }
    return made;
  }
}
