/**
 * Which nodes a pipeline refuses, and by which filter: one byte per node, and a count per filter, so that
 * saying why no node fits costs no look at the nodes.
 * Pure. Invariant: `counts[f]` is the number of nodes whose byte names filter f; `accepted` of those it
 * accepts.
 */
import type { FilterPipeline, Refusal } from "./filter.js";
import { NODE_ITSELF } from "./node-change.js";
import type { NodeInfo } from "./node-info.js";
import type { NodeSet } from "./node-set.js";

/** Bytes: 0 no such node, 1 accepted, 2 + f refused by filter f. */
const ABSENT = 0;
const ACCEPTED = 1;
const REFUSED = 2;

export class Refusals {
  readonly pipeline: FilterPipeline;
  /** Nodes that were asked about since it was made. */
  evaluations = 0;
  accepted = 0;
  readonly #set: NodeSet;
  readonly #exceptTaskId: string;
  readonly #counts: number[];
  #bytes: Uint8Array;

  /** @param only the one node that matters; absent: all. */
  constructor(
    set: NodeSet,
    pipeline: FilterPipeline,
    options: { readonly exceptTaskId?: string; readonly only?: NodeInfo } = {},
  ) {
    this.pipeline = pipeline;
    this.#set = set;
    this.#exceptTaskId = options.exceptTaskId ?? "";
    this.#counts = pipeline.filters.map(() => 0);
    this.#bytes = new Uint8Array(set.numbersEnd);
    if (options.only !== undefined) this.update(options.only.at);
    else for (const { at } of set.all()) this.update(at);
  }

  get bytes(): number {
    return this.#bytes.length;
  }

  accepts(at: number): boolean {
    return this.#bytes[at] === ACCEPTED;
  }

  /** True when a change of this kind may make the node another's: accepted, or refused for another reason. */
  concerns(at: number, bits: number): boolean {
    const byte = this.#bytes[at] ?? ABSENT;
    const { filters } = this.pipeline;
    if (byte < REFUSED) return true;
    if (((filters[byte - REFUSED]?.looksAt ?? 0) & bits) !== 0) return true;
    // a filter before it may refuse the node now; what tasks give back cannot be the reason
    const itself = bits & NODE_ITSELF;
    if (itself === 0) return false;
    for (let f = 0; f < byte - REFUSED; f++) if (((filters[f]?.looksAt ?? 0) & itself) !== 0) return true;
    return false;
  }

  /** Looks at a node again. @param exceptTaskId as for a filter. @returns true when the answer is another. */
  update(at: number, exceptTaskId = this.#exceptTaskId): boolean {
    if (at >= this.#bytes.length) this.#grow(at);
    const info = this.#set.at(at);
    let byte = ABSENT;
    if (info !== undefined) {
      this.evaluations += 1;
      const filter = this.pipeline.refusedBy(info, exceptTaskId);
      byte = filter < 0 ? ACCEPTED : REFUSED + filter;
    }
    const before = this.#bytes[at] ?? ABSENT;
    if (byte === before) return false;
    this.#count(before, -1);
    this.#count(byte, 1);
    this.#bytes[at] = byte;
    return true;
  }

  explain(): Refusal {
    return this.pipeline.explain(this.#counts);
  }

  #count(byte: number, by: number): void {
    if (byte === ACCEPTED) this.accepted += by;
    else if (byte >= REFUSED) this.#counts[byte - REFUSED] = (this.#counts[byte - REFUSED] ?? 0) + by;
  }

  #grow(at: number): void {
    const grown = new Uint8Array(Math.max(at + 1, this.#set.numbersEnd, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}
