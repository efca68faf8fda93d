/**
 * The way from a dispatcher to the leader, as the dispatcher sees it. Pure (interface only).
 */
import type { ManagerWord, NodeReport } from "../../proto/gen/skein/v1/dispatcher.js";

export interface ReportSink {
  /**
   * Resolves when the leader has committed what the reports say;
   * goes on trying across leader changes until then.
   * @throws {ResourceExhaustedError} too much is queued; {CancelledError} the sink was closed.
   * Nothing was promised then.
   */
  send(reports: readonly NodeReport[]): Promise<void>;
  /**
   * Tells the leader, once and past whatever waits, that this manager's sessions are well.
   * @param reports with a full word: all of them.
   * @returns whether the leader wants to be told all of them.
   * @throws {UnavailableError} there is no leader, or none was reached in time.
   */
  vouch(word: ManagerWord, reports: readonly NodeReport[]): Promise<{ readonly full: boolean }>;
  /**
   * Tells the leader that this manager's nodes have taken out what changes up to the revision stop.
   * Resolves when the nodes of all managers have, or with false when that takes too long.
   * @throws {UnavailableError} there is no leader, or none was reached in time.
   */
  drained(revision: number): Promise<boolean>;
  /** Calls back when there is a new leader, or a way to it. @returns what stops listening. */
  onLeaderChange(listener: () => void): () => void;
}
