/**
 * Sockets of sandboxes, and what the connection table says of them. Edge: to the kernel by the Linux port.
 * Invariant: a socket is closed only by the cookie it was listed with; where the kernel cannot close sockets,
 * the translation is deleted, so that both ends are reset at their next packet.
 */
import { readFileSync } from "node:fs";
import { messageOf } from "../../base/errors/errors.js";
import type { Linux, NetlinkSocket } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { deleteFlow, findTcpFlow, secondsLeftOf } from "../dataplane/conntrack-messages.js";
import { isRefusal } from "../dataplane/linux-route-socket.js";
import type { Watched, WatchedSandbox } from "./idle-limits.js";
import type { IdleSockets } from "./idle-sockets.js";
import type { TcpSocket } from "./sock-diag-messages.js";
import { decodeSocket, destroySocket, dumpEstablished } from "./sock-diag-messages.js";

/**
 * Seconds a flow has left when an acknowledgement or a window's opening is waited for
 * (nf_conntrack_tcp_timeout_unacknowledged, _max_retrans): then it is younger than that.
 */
const UNACKED_SECONDS = 300;
const ESTABLISHED_SYSCTL = "net.netfilter.nf_conntrack_tcp_timeout_established";
const ESTABLISHED_FILE = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established";
/** In which connections can still be reset before the kernel forgets them: more than the slowest look takes. */
const MARGIN_SECONDS = 600;

export interface LinuxIdleSocketsOptions {
  readonly linux: Linux;
  readonly sandboxPath: (sandboxId: string) => string;
  readonly overlayPath: (networkId: string) => string;
  /** Path of the namespace that plays the host. @default the daemon's own */
  readonly hostNetns: string | undefined;
  readonly log: Logger;
}

export class LinuxIdleSockets implements IdleSockets {
  readonly #options: LinuxIdleSocketsOptions;
  /** By place, in seconds. */
  readonly #established = new Map<string, number>();
  #isDestroyRefused = false;

  constructor(options: LinuxIdleSocketsOptions) {
    this.#options = options;
  }

  *list(sandbox: WatchedSandbox): Iterable<readonly TcpSocket[]> {
    this.#established.clear(); // a look sees what the host's operator has set since
    const socket = this.#open(this.#insideOf(sandbox), "sockets");
    if (socket === undefined) return;
    try {
      for (const family of [4, 6] as const) {
        for (const payloads of socket.dump(dumpEstablished(family)))
          yield payloads.flatMap((payload) => decodeSocket(payload) ?? []);
      }
    } finally {
      socket.close();
    }
  }

  /** A network's namespace is ours: there the kernel keeps connections as long as is asked. */
  limitMs(place: Watched["place"], askedMs: number): number {
    const neededSeconds = Math.ceil(askedMs / 1_000) + MARGIN_SECONDS;
    try {
      let seconds = this.#establishedSeconds(place);
      if (place.kind === "network" && seconds < neededSeconds) {
        this.#options.linux.setSysctls(this.#pathOf(place), { [ESTABLISHED_SYSCTL]: String(neededSeconds) });
        this.#established.clear();
        seconds = neededSeconds;
      }
      return Math.min(askedMs, (seconds - Math.min(MARGIN_SECONDS, seconds / 2)) * 1_000);
    } catch (error) {
      this.#options.log.debug("the kernel's own limit is not known", { error: messageOf(error) });
      return askedMs; // no namespace, no connections
    }
  }

  quietMs(socket: TcpSocket, place: Watched["place"]): number | undefined {
    const flow = this.#find(socket, place);
    if (flow === undefined) return undefined;
    const { secondsLeft } = flow;
    const whole = secondsLeft > UNACKED_SECONDS ? this.#establishedSeconds(place) : UNACKED_SECONDS;
    return Math.max(0, whole - secondsLeft) * 1_000;
  }

  reset(sandbox: WatchedSandbox, socket: TcpSocket, place: Watched["place"]): void {
    const netlink = this.#open(this.#insideOf(sandbox), "sockets");
    if (netlink === undefined) return;
    try {
      netlink.request(destroySocket(socket));
    } catch (error) {
      if (isRefusal(error, "ENOENT", "ESRCH")) return; // it ended by itself
      if (!isRefusal(error, "EOPNOTSUPP", "EPERM", "EINVAL")) throw error;
      if (!this.#isDestroyRefused) {
        this.#isDestroyRefused = true;
        const what = "this kernel closes no sockets: idle connections are reset at their next packet";
        this.#options.log.warn(what, { error: messageOf(error) });
      }
      this.#cut(socket, place);
    } finally {
      netlink.close();
    }
  }

  #cut(socket: TcpSocket, place: Watched["place"]): void {
    const flow = this.#find(socket, place);
    const netlink = flow === undefined ? undefined : this.#open(this.#pathOf(place), "netfilter");
    if (flow === undefined || netlink === undefined) return;
    try {
      netlink.request(deleteFlow(flow.payload));
    } catch (error) {
      if (!isRefusal(error, "ENOENT")) throw error;
    } finally {
      netlink.close();
    }
  }

  /** To a VIP the socket has the flow's own addresses; from a published port those of its answers. */
  #find(
    { local, remote }: TcpSocket,
    place: Watched["place"],
  ): { secondsLeft: number; payload: Uint8Array } | undefined {
    const netlink = this.#open(this.#pathOf(place), "netfilter");
    if (netlink === undefined) return undefined;
    try {
      const direction = place.kind === "network" ? "original" : "reply";
      const payload = netlink.request(findTcpFlow({ direction, from: local, to: remote }))[0];
      const secondsLeft = payload === undefined ? undefined : secondsLeftOf(payload);
      return payload === undefined || secondsLeft === undefined ? undefined : { secondsLeft, payload };
    } catch (error) {
      if (isRefusal(error, "ENOENT")) return undefined;
      throw error;
    } finally {
      netlink.close();
    }
  }

  #establishedSeconds(place: Watched["place"]): number {
    const key = place.kind === "network" ? place.networkId : "";
    let seconds = this.#established.get(key);
    if (seconds === undefined) {
      const path = this.#pathOf(place);
      const read = (): number => Number(readFileSync(ESTABLISHED_FILE, "utf8"));
      seconds = path === undefined ? read() : this.#options.linux.inNetns(path, read);
      this.#established.set(key, seconds);
    }
    return seconds;
  }

  #insideOf({ taskId, plug }: WatchedSandbox): string {
    return plug?.netnsPath ?? this.#options.sandboxPath(taskId);
  }

  #pathOf(place: Watched["place"]): string | undefined {
    return place.kind === "network" ? this.#options.overlayPath(place.networkId) : this.#options.hostNetns;
  }

  /** @returns undefined when the namespace is gone. */
  #open(netnsPath: string | undefined, protocol: "sockets" | "netfilter"): NetlinkSocket | undefined {
    try {
      return this.#options.linux.netlink(netnsPath, protocol);
    } catch (error) {
      if (isRefusal(error, "ENOENT", "EINVAL") || messageOf(error).includes("ENOENT")) return undefined;
      throw error;
    }
  }
}
