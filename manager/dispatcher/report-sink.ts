/**
 * The way from a dispatcher to the leader, as the dispatcher sees it. Pure (interface only).
 */
import type { NodeReport } from "../../proto/gen/skein/v1/dispatcher.js";

export interface ReportSink {
  /**
   * Resolves when the leader has committed what the reports say;
   * goes on trying across leader changes until then.
   * @throws {ResourceExhaustedError} too much is queued; {CancelledError} the sink was closed.
   * Nothing was promised then.
   */
  send(reports: readonly NodeReport[]): Promise<void>;
  /** Monotonic instant since which no delivery has succeeded; undefined while all is well. */
  readonly failingSinceMs: number | undefined;
}
