/**
 * The audit of a node's namespaces. Edge: to the kernel by its parts. Invariants: nothing is read in a
 * namespace that no part states facts for; a place whose namespace is gone is nobody's.
 */
import { existsSync } from "node:fs";
import { messageOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { tellDifference } from "./compare.js";
import type { WantedFacts } from "./facts.js";
import type { Change, KernelAudit, PlaceAudit, Sandboxes } from "./kernel-audit.js";
import { auditFacts } from "./linux-fact-audit.js";
import { LinuxNetWatch } from "./linux-net-watch.js";
import { LinuxRulesetAudit } from "./linux-ruleset-audit.js";
import type { Transaction } from "./netlink-events.js";
import type { RulesetGenerations } from "./ruleset-generations.js";

/** A namespace with what is wanted in it, and its maker's way to make it anew. */
export interface AuditedPlace {
  readonly name: string;
  /** undefined: the daemon's own. */
  readonly netnsPath: string | undefined;
  /** Whether changes are listened to. A task may change its own namespace as often as it likes. */
  readonly isHeard: boolean;
  /** What is done to others' rulesets for ours to work. */
  readonly prepare?: () => void;
  /** undefined: nothing was applied yet. */
  readonly wanted: () => WantedFacts | undefined;
  readonly remake: () => void;
}

export interface LinuxKernelAuditOptions {
  readonly linux: Linux;
  readonly generations: RulesetGenerations;
  /** Where an empty namespace may be made. */
  readonly scratchPath: string;
  readonly log: Logger;
  readonly places: (sandboxes: Sandboxes) => readonly AuditedPlace[];
}

export class LinuxKernelAudit implements KernelAudit {
  readonly #options: LinuxKernelAuditOptions;
  readonly #rulesets: LinuxRulesetAudit;
  readonly #watches = new Map<string, LinuxNetWatch>();
  #onChange: ((place: string, change: Change) => void) | undefined;

  constructor(options: LinuxKernelAuditOptions) {
    this.#options = options;
    this.#rulesets = new LinuxRulesetAudit(options.linux, options);
  }

  places(sandboxes: Sandboxes): readonly string[] {
    const places = this.#options.places(sandboxes);
    this.#watch(places);
    return places.map(({ name }) => name);
  }

  async audit(
    name: string,
    { kinds, sandboxes }: { kinds: "facts" | "all"; sandboxes: Sandboxes },
  ): Promise<PlaceAudit | undefined> {
    const { linux } = this.#options;
    const place = this.#find(name, sandboxes);
    const wanted = place?.wanted();
    if (place === undefined || wanted === undefined) return undefined;
    const { netnsPath } = place;
    if (netnsPath !== undefined && !existsSync(netnsPath)) return undefined;
    if (kinds === "all") this.#prepare(place);
    const facts = await auditFacts(wanted, { linux, netnsPath });
    const rulesets =
      kinds === "all" ? await this.#rulesets.compare(wanted.tables, { place: name, netnsPath }) : [];
    if (rulesets === undefined) return undefined;
    return {
      differences: [...facts.differences.map((each) => tellDifference(name, each)), ...rulesets],
      isToBeRemade: facts.unmended.length > 0 || rulesets.length > 0,
    };
  }

  remake(name: string, options: { sandboxes: Sandboxes; fromNothing: boolean }): void {
    const place = this.#find(name, options.sandboxes);
    if (place === undefined) return;
    if (options.fromNothing) {
      const nft = this.#options.linux.nft(place.netnsPath);
      try {
        for (const { name: table } of place.wanted()?.tables ?? [])
          nft.run(`table ${table}\ndelete table ${table}`);
      } finally {
        nft.close();
      }
    }
    place.remake();
  }

  listen(onChange: (place: string, change: Change) => void): void {
    this.#onChange = onChange;
    this.#watch(this.#options.places(new Map()));
  }

  /** Watches come and go with their namespaces. To be called when a namespace was made or removed. */
  rewatch(): void {
    if (this.#onChange !== undefined) this.#watch(this.#options.places(new Map()));
  }

  async close({ isLeaving }: { isLeaving: boolean }): Promise<void> {
    for (const watch of this.#watches.values()) watch.close();
    this.#watches.clear();
    this.#onChange = undefined;
    await this.#rulesets.close({ isLeaving });
  }

  #prepare({ prepare }: AuditedPlace): void {
    try {
      prepare?.();
    } catch (error) {
      this.#options.log.warn("a foreign chain could not be opened for ours", { error: messageOf(error) });
    }
  }

  #find(name: string, sandboxes: Sandboxes): AuditedPlace | undefined {
    return this.#options.places(sandboxes).find((place) => place.name === name);
  }

  #watch(places: readonly AuditedPlace[]): void {
    const onChange = this.#onChange;
    if (onChange === undefined) return;
    const heard = new Map(places.filter(({ isHeard }) => isHeard).map((place) => [place.name, place]));
    for (const [name, watch] of this.#watches) {
      if (heard.has(name)) continue;
      watch.close();
      this.#watches.delete(name);
    }
    const { linux, log, generations } = this.#options;
    for (const [name, { netnsPath }] of heard) {
      if (this.#watches.has(name)) continue;
      const heardHere = (change: Change): void => onChange(name, change);
      const onTransaction = (transaction: Transaction): void => generations.follow(netnsPath, transaction);
      this.#watches.set(
        name,
        new LinuxNetWatch({ linux, netnsPath, log, onTransaction, onChange: heardHere }),
      );
    }
  }
}
