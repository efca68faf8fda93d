/**
 * What the auditor asks of the machine. Pure (interface only).
 * Places have the names that people read: "the host", "network ID", "task ID".
 */
import type { Sandbox } from "../endpoints/sandbox.js";
import type { Difference } from "./compare.js";

export const HOST_PLACE = "the host";

/** routes: links, addresses, routes, neighbours, maybe by ourselves; ruleset: nftables, by somebody else. */
export type Change = "routes" | "ruleset";

/** Attached tasks, by id. */
export type Sandboxes = ReadonlyMap<string, Sandbox>;

export interface PlaceAudit {
  /** As they were found, before any repair. */
  readonly differences: readonly Difference[];
  /** What cannot be mended entry by entry: the place's plan is to be applied anew. */
  readonly isToBeRemade: boolean;
}

export interface KernelAudit {
  /** The host first, then networks, then tasks. */
  places(sandboxes: Sandboxes): readonly string[];
  /**
   * Compares and mends. To be called in turn with what applies plans.
   * @param options.kinds facts: all but rulesets.
   * @returns undefined when the place is not there, or changed while it was looked at.
   */
  audit(
    place: string,
    options: { readonly kinds: "facts" | "all"; readonly sandboxes: Sandboxes },
  ): Promise<PlaceAudit | undefined>;
  /**
   * The next time the place's plan is applied, the kernel is read first. A task's interfaces are made now.
   * @param options.fromNothing also takes our tables of nftables away: for what reading did not mend.
   */
  remake(place: string, options: { readonly sandboxes: Sandboxes; readonly fromNothing: boolean }): void;
  /** Calls back at every change that is heard, until closed. Once. */
  listen(onChange: (place: string, change: Change) => void): void;
}
