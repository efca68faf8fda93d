/**
 * The probes' tunnel on Linux: a VXLAN device of its own in a namespace of its own, where no rule of the
 * host's firewall reaches, and sockets in there.
 * Edge: to the kernel by the Linux port, to node:dgram. Frames are as those of networks: same device, same
 * port, same peers; only the outer header forbids fragments. Invariants: questions are answered in their
 * own size, so that nobody is made to send more than he got; at most `ANSWERS_PER_SECOND`, and only to peers.
 * Source: docs/design/network-paths.md, "Probes".
 */

import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { closeSync, existsSync, openSync, unlinkSync } from "node:fs";
import type { Server } from "node:net";
import type { Clock } from "../../base/clock/clock.js";
import { FailedPreconditionError } from "../../base/errors/errors.js";
import type { Linux, SocketTrait } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { isNetns } from "../dataplane/linux-overlay.js";
import { RouteSocket } from "../dataplane/linux-route-socket.js";
import { ensureTunnel, syncPeers } from "../dataplane/linux-tunnel.js";
import { deleteLink, setAddress, setLinkUp } from "../dataplane/rtnetlink-messages.js";
import { atOnce } from "../slices.js";
import { tunnelAddress } from "../vxlan/node-addresses.js";
import { PROBE_VNI, vxlanOverheadBytes } from "../vxlan/vni.js";
import { serveTransfers, transfer } from "./linux-probe-transfer.js";
import { setTxChecksum } from "./linux-tx-checksum.js";
import { decodeProbe, encodeProbe } from "./probe-message.js";
import type { ProbeQuestion, ProbeTunnel, ProbeTunnelOptions } from "./probe-tunnel.js";

const TUNNEL_LINK = "vx0";
const LOOPBACK_INDEX = 1;
/** The namespace has no other sockets. Questions without a checksum come and go here, and transfers. */
const PROBE_PORT = 7;
/** Questions with a checksum come from here; their answers come back here. */
const CHECKED_PORT = 8;
/** All nodes' addresses in the tunnel are neighbours. */
const TUNNEL_PREFIX_LENGTH = 16;
export const ANSWERS_PER_SECOND = 1_000;

type AnswerListener = Parameters<ProbeTunnel["onAnswer"]>[0];

interface Open {
  readonly options: ProbeTunnelOptions;
  readonly fullBytes: number;
  readonly linkIndex: number;
}

export class LinuxProbeTunnel implements ProbeTunnel {
  readonly #linux: Linux;
  readonly #path: string;
  readonly #hostNetns: string | undefined;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #listeners = new Set<AnswerListener>();
  /** Whom answers may go to. */
  #peers: ReadonlyMap<number, string> = new Map();
  /** Who has entries in the kernel. */
  readonly #entered = new Map<number, string>();
  #host: RouteSocket | undefined;
  #inside: RouteSocket | undefined;
  #socket: Socket | undefined;
  #checkedSocket: Socket | undefined;
  #transfers: Server | undefined;
  #open: Open | undefined;
  #underlayLink = "";
  #second = 0;
  #answers = 0;

  /** @param options path: of the namespace; its folder must exist. hostNetns: undefined: the daemon's own. */
  constructor(
    linux: Linux,
    options: { path: string; hostNetns: string | undefined; clock: Clock; log: Logger },
  ) {
    this.#linux = linux;
    this.#path = options.path;
    this.#hostNetns = options.hostNetns;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  onAnswer(listener: AnswerListener): void {
    this.#listeners.add(listener);
  }

  setPeers(peers: ReadonlyMap<number, string>): void {
    this.#peers = peers;
  }

  open(options: ProbeTunnelOptions): { fullBytes: number; overheadBytes: number } | undefined {
    const { nodeNumber, localAddress, udpPort } = options;
    const overheadBytes = vxlanOverheadBytes(localAddress.includes(":") ? 6 : 4);
    this.#host ??= new RouteSocket(this.#linux, this.#hostNetns);
    const fullBytes = this.#underlayMtuBytes(localAddress) - overheadBytes;
    const last = this.#open?.options;
    const isSame =
      this.#open?.fullBytes === fullBytes &&
      last?.nodeNumber === nodeNumber &&
      last.localAddress === localAddress &&
      last.udpPort === udpPort;
    if (isSame) return { fullBytes, overheadBytes };
    const inside = this.#enter();
    const netnsFd = openSync(this.#path, "r");
    try {
      const { linkIndex, isNew, taken } = ensureTunnel(
        {
          name: TUNNEL_LINK,
          vni: PROBE_VNI,
          localAddress,
          udpPort,
          nodeNumber,
          mtuBytes: fullBytes,
          dontFragment: true,
        },
        { underlay: this.#host, inside, netnsFd },
      );
      if (isNew) this.#entered.clear();
      else this.setTxChecksum(true); // a life before this one may have turned it off
      this.#open = undefined;
      if (taken !== undefined) return undefined;
      const address = tunnelAddress(nodeNumber);
      inside.send(setAddress({ index: linkIndex, address, prefixLength: TUNNEL_PREFIX_LENGTH }));
      this.#socket ??= this.#serve(PROBE_PORT, ["probe-mtu", "no-checksum"]);
      this.#checkedSocket ??= this.#serve(CHECKED_PORT, ["probe-mtu"]);
      this.#transfers ??= serveTransfers(this.#linux, { netnsPath: this.#path, port: PROBE_PORT });
      this.#open = { options, fullBytes, linkIndex };
      return { fullBytes, overheadBytes };
    } finally {
      closeSync(netnsFd);
    }
  }

  ask({ number, vtep, nonce, packetBytes, isChecked = false }: ProbeQuestion): void {
    this.#reach(number, vtep);
    const socket = isChecked ? this.#checkedSocket : this.#socket;
    const to = { number, port: PROBE_PORT };
    this.#send(socket, to, encodeProbe({ kind: "question", nonce, packetBytes }));
  }

  transfer({ number, vtep }: Pick<ProbeQuestion, "number" | "vtep">): Promise<boolean> {
    this.#reach(number, vtep);
    const to = { netnsPath: this.#path, address: tunnelAddress(number), port: PROBE_PORT };
    return transfer(this.#linux, to);
  }

  setTxChecksum(isOn: boolean): void {
    setTxChecksum(this.#linux, { netnsPath: this.#path, link: TUNNEL_LINK, isOn });
  }

  close(): void {
    this.#open = undefined;
    this.#entered.clear();
    this.#socket?.close();
    this.#socket = undefined;
    this.#checkedSocket?.close();
    this.#checkedSocket = undefined;
    this.#transfers?.close();
    this.#transfers = undefined;
    this.#inside?.close();
    this.#inside = undefined;
    this.#host?.close();
    this.#host = undefined;
  }

  async remove(): Promise<void> {
    if (existsSync(this.#path) && isNetns(this.#linux, this.#path)) {
      const inside = this.#enter();
      const link = inside.findLink(TUNNEL_LINK);
      if (link !== undefined) inside.discard(deleteLink(link.index)); // the namespace itself ends later
    }
    this.close();
    await this.#linux.deleteNetns(this.#path);
  }

  #enter(): RouteSocket {
    if (this.#inside !== undefined) return this.#inside;
    if (existsSync(this.#path) && !isNetns(this.#linux, this.#path)) unlinkSync(this.#path);
    if (!existsSync(this.#path)) this.#linux.createNetns(this.#path);
    this.#inside = new RouteSocket(this.#linux, this.#path);
    this.#inside.send(setLinkUp(LOOPBACK_INDEX));
    return this.#inside;
  }

  #serve(port: number, traits: readonly SocketTrait[]): Socket {
    const fd = this.#linux.bindSocket({
      netnsPath: this.#path,
      kind: "udp",
      address: "0.0.0.0",
      port,
      traits,
    });
    const socket = createSocket("udp4"); // when there is a descriptor for it: it is tried again and again
    socket.on("error", (error) => this.#log.warn("probes' socket failed", { error: error.message }));
    socket.on("message", (message, from) => this.#received(message, from));
    socket.bind({ fd, exclusive: true });
    socket.unref();
    return socket;
  }

  #received(message: Buffer, from: RemoteInfo): void {
    const probe = decodeProbe(message);
    const number = numberOf(from.address);
    if (probe === undefined || number === undefined) return;
    const { nonce, packetBytes } = probe;
    if (probe.kind === "answer") {
      for (const listener of this.#listeners) listener({ number, nonce, packetBytes });
      return;
    }
    const vtep = this.#peers.get(number);
    if (vtep === undefined || !this.#mayAnswer()) return;
    try {
      this.#reach(number, vtep);
      const to = { number, port: from.port };
      this.#send(this.#socket, to, encodeProbe({ kind: "answer", nonce, packetBytes }));
    } catch (error) {
      this.#log.debug("a probe was not answered", { to: vtep, error: String(error) });
    }
  }

  #mayAnswer(): boolean {
    const second = Math.floor(this.#clock.monotonicMs() / 1_000);
    if (second !== this.#second) this.#answers = 0;
    this.#second = second;
    this.#answers += 1;
    return this.#answers <= ANSWERS_PER_SECOND;
  }

  #reach(number: number, vtep: string): void {
    const { linkIndex } = this.#open ?? {};
    if (linkIndex === undefined || this.#inside === undefined)
      throw new FailedPreconditionError("the probes' tunnel is not open");
    const known = this.#entered.get(number);
    if (known === vtep) return;
    atOnce(
      syncPeers(this.#inside, {
        linkIndex,
        before: new Map(known === undefined ? [] : [[number, known]]),
        after: new Map([[number, vtep]]),
        nextHopOf: tunnelAddress,
      }),
    );
    this.#entered.set(number, vtep);
  }

  /** What does not go out is lost, like what is lost on its way. */
  #send(socket: Socket | undefined, to: { number: number; port: number }, message: Buffer): void {
    const { number, port } = to;
    socket?.send(message, port, tunnelAddress(number), (error) => {
      if (error !== null) this.#log.debug("a probe was not sent", { number, error: error.message });
    });
  }

  /** Asked for on every look: one request to the kernel while the address stays where it was. */
  #underlayMtuBytes(localAddress: string): number {
    const host = this.#host;
    const known = this.#underlayLink === "" ? undefined : host?.findLink(this.#underlayLink);
    if (known !== undefined && this.#open?.options.localAddress === localAddress) return known.mtuBytes;
    const index = host
      ?.listAddresses(localAddress.includes(":") ? 6 : 4)
      .find(({ address }) => address === localAddress)?.index;
    const link = host?.listLinks().find((candidate) => candidate.index === index);
    if (link === undefined)
      throw new FailedPreconditionError(`data path address ${localAddress} is on no interface of this node`);
    this.#underlayLink = link.name;
    return link.mtuBytes;
  }
}

/** The node that has the tunnel address; undefined when it is none of ours. */
function numberOf(address: string): number | undefined {
  const [, , high, low] = address.split(".").map(Number);
  const number = (high ?? 0) * 256 + (low ?? 0);
  return tunnelAddress(number) === address ? number : undefined;
}
