/**
 * Whether this member takes part in reads by lease, remembered over restarts: what a member promised in its
 * last life binds it, also when the option was switched off meanwhile. Pure over the disk port.
 * Invariant: the mark is durable before the first promise. It stays for good; all it costs is that a
 * restarted member holds its vote for one election timeout.
 */
import type { Clock } from "../../base/clock/clock.js";
import type { LeaseReads } from "../core/types.js";
import type { Disk } from "../storage/disk.js";
import { LeaseClock } from "./lease-clock.js";

/**
 * How a leader proves that it still leads before it answers a read. `read-index`: by a round trip to a
 * majority, shared by all reads that wait. `lease`: by their promise to elect nobody else for a while,
 * without a round trip; it trusts the clocks of the machines to differ by less than 14 % in rate and not to
 * stand still unnoticed (a halted virtual machine), and gives up the fast failover when a leader's
 * connection breaks: its process must be gone for an election timeout (1 s) before another is elected. See
 * ADR 0012.
 */
export type ReadMode = "read-index" | "lease";

const MARK = "lease-reads";

export async function openLeaseReads(
  disk: Disk,
  options: { readonly reads: ReadMode; readonly clock: Clock; readonly tickMs: number },
): Promise<LeaseReads | undefined> {
  const { reads, clock, tickMs } = options;
  const hasPromised = (await disk.read(MARK)) !== undefined;
  if (reads === "read-index" && !hasPromised) return undefined;
  if (!hasPromised) await disk.replace(MARK, Buffer.from("this member has promised votes to leaders\n"));
  return new LeaseClock(clock, { tickMs, retiring: reads === "read-index" });
}
