/**
 * When which place is audited, and what follows: repair, report, a second look.
 * Pure (time by `Clock`). Invariants: one place at a time, in turn with what applies plans, so that our own
 * changes are never taken for differences; what another process did to a ruleset is looked at at once, other
 * changes no oftener than costs COST_MAX of the time, or every GAP_MAX_MS; everything is looked at every
 * PERIOD_MS.
 * Source: docs/design/network-audit.md.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { AuditReport } from "./audit-report.js";
import { AuditBook } from "./audit-report.js";
import type { Difference } from "./compare.js";
import { differenceText } from "./compare.js";
import type { Change, KernelAudit, PlaceAudit, Sandboxes } from "./kernel-audit.js";

export const AUDIT_PERIOD_MS = 30_000;
/** Between two audits of a place that changes were heard of. */
const GAP_MIN_MS = 100;
const GAP_MAX_MS = 3_000;
/** Of the time, what audits of changing places may take. */
const COST_MAX = 0.02;
/** Named in one line of the log. */
const LOGGED_MAX = 5;

export interface AuditorOptions {
  readonly kernel: KernelAudit;
  readonly clock: Clock;
  readonly log: Logger;
  readonly sandboxes: Sandboxes;
  /** One after the other, with whatever else changes the kernel. */
  readonly turn: <T>(work: () => Promise<T>) => Promise<T>;
  /** Applies the place's plan anew. Within a turn. */
  readonly reapply: (place: string) => Promise<void>;
}

interface Wish {
  kinds: "facts" | "all";
}

export class Auditor {
  readonly #options: AuditorOptions;
  readonly #book = new AuditBook();
  /** Places to be looked at, in the order they were asked for. */
  readonly #wishes = new Map<string, Wish>();
  readonly #lastEndMs = new Map<string, number>();
  readonly #gapMs = new Map<string, number>();
  #period: Timer | undefined;
  #waiting: Timer | undefined;
  #running: Promise<void> | undefined;
  #isListening = false;
  #isStopped = true;

  constructor(options: AuditorOptions) {
    this.#options = options;
  }

  /** Looks at everything, and goes on. Again is fine. */
  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    const { kernel, clock } = this.#options;
    if (!this.#isListening) kernel.listen((place, change) => this.#hear(place, change));
    this.#isListening = true;
    this.#period = clock.setInterval(AUDIT_PERIOD_MS, () => this.#wishAll());
    this.#wishAll();
  }

  stop(): void {
    this.#isStopped = true;
    this.#isListening = false; // who takes the kernel's state away stops hearing of it, too
    this.#period?.cancel();
    this.#waiting?.cancel();
    this.#waiting = undefined;
    this.#wishes.clear();
  }

  /** Everything, now. Resolves when it has been looked at. */
  async auditAll(): Promise<AuditReport> {
    if (!this.#isStopped) {
      this.#wishAll();
      while (this.#running !== undefined) await this.#running;
    }
    return this.#book.read();
  }

  get report(): AuditReport {
    return this.#book.read();
  }

  #wishAll(): void {
    const { kernel, sandboxes } = this.#options;
    const places = kernel.places(sandboxes);
    const all = new Set(places);
    this.#book.keep(all);
    for (const known of this.#lastEndMs.keys()) {
      if (all.has(known)) continue;
      this.#lastEndMs.delete(known);
      this.#gapMs.delete(known);
    }
    for (const place of places) this.#wish(place, "all");
    this.#run();
  }

  #hear(place: string, change: Change): void {
    if (this.#isStopped) return;
    this.#wish(place, change === "ruleset" ? "all" : "facts");
    const waitMs = change === "ruleset" ? GAP_MIN_MS : (this.#gapMs.get(place) ?? GAP_MIN_MS);
    const sinceMs = this.#options.clock.monotonicMs() - (this.#lastEndMs.get(place) ?? -GAP_MAX_MS);
    if (sinceMs >= waitMs) this.#run();
    else this.#runIn(waitMs - sinceMs);
  }

  #wish(place: string, kinds: Wish["kinds"]): void {
    const wish = this.#wishes.get(place);
    if (wish === undefined) this.#wishes.set(place, { kinds });
    else if (kinds === "all") wish.kinds = "all";
  }

  #runIn(delayMs: number): void {
    this.#waiting ??= this.#options.clock.setTimer(delayMs, () => {
      this.#waiting = undefined;
      this.#run();
    });
  }

  #run(): void {
    this.#running ??= this.#work().finally(() => {
      this.#running = undefined;
      if (this.#wishes.size > 0 && !this.#isStopped) this.#runIn(GAP_MIN_MS);
    });
  }

  /** Places that are asked for meanwhile have to wait a little: nobody holds this loop for ever. */
  async #work(): Promise<void> {
    const { clock, log, turn } = this.#options;
    const wishes = [...this.#wishes];
    this.#wishes.clear();
    for (const [place, { kinds }] of wishes) {
      if (this.#isStopped) return;
      let startMs = clock.monotonicMs();
      try {
        await turn(() => {
          startMs = clock.monotonicMs(); // waiting for the turn costs nothing
          return this.#audit(place, kinds);
        });
      } catch (error) {
        log.warn("the network's state could not be looked at", { place, error: messageOf(error) });
      }
      const endMs = clock.monotonicMs();
      this.#lastEndMs.set(place, endMs);
      this.#gapMs.set(place, Math.min(GAP_MAX_MS, Math.max(GAP_MIN_MS, (endMs - startMs) / COST_MAX)));
    }
  }

  async #audit(place: string, kinds: Wish["kinds"]): Promise<void> {
    if (this.#isStopped) return;
    const { kernel, clock, log, sandboxes, reapply } = this.#options;
    const found = await kernel.audit(place, { kinds, sandboxes });
    if (found === undefined) return; // the next look comes soon
    this.#book.note(found.differences, clock.nowMs());
    if (found.differences.length === 0) {
      if (kinds === "all") this.#book.stand(place, []);
      return;
    }
    const again = async (fromNothing: boolean): Promise<PlaceAudit | undefined> => {
      kernel.remake(place, { sandboxes, fromNothing });
      await reapply(place);
      return kernel.audit(place, { kinds: "all", sandboxes });
    };
    let after = found.isToBeRemade
      ? await again(false)
      : await kernel.audit(place, { kinds: "all", sandboxes });
    if ((after?.differences.length ?? 0) > 0) after = await again(true);
    const standing = after?.differences ?? [];
    this.#book.stand(place, standing);
    log.warn("the network's state was changed by somebody else and is repaired", {
      place,
      count: found.differences.length,
      differences: wordsOf(found.differences),
    });
    if (standing.length > 0)
      log.error("the network's state could not be repaired", {
        place,
        count: standing.length,
        differences: wordsOf(standing),
      });
  }
}

function wordsOf(differences: readonly Difference[]): string[] {
  const told = differences.slice(0, LOGGED_MAX).map(differenceText);
  const more = differences.length - told.length;
  return more > 0 ? [...told, `and ${more} more`] : told;
}
