/**
 * What the watch asks of the machine. Pure (interface only). Implementation: linux-idle-sockets.ts.
 */
import type { Watched, WatchedSandbox } from "./idle-limits.js";
import type { TcpSocket } from "./sock-diag-messages.js";

export interface IdleSockets {
  /** Established TCP connections of a sandbox, some at a time. A sandbox that is gone has none. */
  list(sandbox: WatchedSandbox): Iterable<readonly TcpSocket[]>;
  /**
   * What can be had of a limit where connections are translated, in milliseconds; they are kept that long
   * from now on.
   */
  limitMs(place: Watched["place"], askedMs: number): number;
  /**
   * How long nothing at all passed on a connection, keepalive probes included, in milliseconds; undefined
   * when the kernel has forgotten it.
   */
  quietMs(socket: TcpSocket, place: Watched["place"]): number | undefined;
  /** Resets both ends. */
  reset(sandbox: WatchedSandbox, socket: TcpSocket, place: Watched["place"]): void;
}
