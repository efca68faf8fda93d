/**
 * The paths of this node: whom to look at follows from the resources, what is found goes to the troubles and
 * to who sets the MTU.
 * Pure (the world comes as ports). Invariants: resources that come in quick succession cost one comparison;
 * while the tunnel cannot be opened nothing is looked at, and it is tried again.
 * Source: docs/design/network-paths.md.
 */
import type { Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import type { NetworkGround } from "../network-ground.js";
import type { PathReport } from "../network-plane.js";
import { isPeerNumber } from "../vxlan/transit.js";
import { PathMonitor } from "./path-monitor.js";
import { ALL_PEERS_MAX, peersToCheck } from "./path-peers.js";
import { type PathState, pathMtuOf, pathTroubles } from "./path-words.js";
import type { ProbeTunnel } from "./probe-tunnel.js";
import { SegmentWatch } from "./segment-watch.js";

/** The underlay's MTU may change, and a port become free, without a word. */
const LOOK_PERIOD_MS = 5_000;
/** What comes meanwhile is taken together. In a large cluster comparing costs a millisecond. */
const FOLLOW_DELAY_MS = { small: 20, large: 500 } as const;
const PREFIX = "path ";

export class NodePaths {
  readonly #ground: NetworkGround;
  readonly #tunnel: ProbeTunnel;
  readonly #monitor: PathMonitor;
  readonly #segments: SegmentWatch;
  readonly #onMtu: (pathMtuBytes: number) => void;
  #mtuBytes = 0;
  #following: Timer | undefined;
  #looking: Timer | undefined;

  /** @param parts onMtu: the largest packet that passes everywhere is another one, of the underlay's size. */
  constructor(
    ground: NetworkGround,
    parts: {
      tunnel: ProbeTunnel;
      random: Random;
      onMtu: (pathMtuBytes: number) => void;
      onTxChecksum: (isOn: boolean) => void;
    },
  ) {
    this.#ground = ground;
    this.#tunnel = parts.tunnel;
    this.#onMtu = parts.onMtu;
    const { tunnel, random, onTxChecksum } = parts;
    const common = { tunnel, random, clock: ground.clock, log: ground.log };
    this.#monitor = new PathMonitor({ ...common, onChange: () => this.#tell() });
    this.#segments = new SegmentWatch({ ...common, onTxChecksum, onChange: () => this.#tell() });
  }

  /** The largest IP packet of the underlay that passes on every path; 0: none was measured. */
  get mtuBytes(): number {
    return this.#mtuBytes;
  }

  report(): PathReport[] {
    const { facts } = this.#monitor;
    if (facts === undefined) return [];
    return this.#states().map((path) => ({
      hostname: path.peer.hostname,
      address: path.peer.vtep,
      mtuBytes: pathMtuOf([path], facts),
      trouble: [...pathTroubles([path], facts).values()].join("; "),
      isUsable: !path.isSilent && path.fault === "",
    }));
  }

  /** Resources or identity may have changed. */
  follow(): void {
    const { clock, state } = this.#ground;
    const isLarge = state.peers.size > ALL_PEERS_MAX;
    this.#looking ??= clock.setInterval(LOOK_PERIOD_MS, () => this.look());
    this.#following ??= clock.setTimer(FOLLOW_DELAY_MS[isLarge ? "large" : "small"], () => {
      this.#following = undefined;
      this.look();
    });
  }

  /** The machine's interfaces may have changed. */
  look(): void {
    const { identity, state, troubles } = this.#ground;
    if (identity === undefined) return;
    const { nodeId, number, dataPathAddress: localAddress, vxlanUdpPort: udpPort } = identity;
    const peers = new Map<number, string>();
    for (const { number: other, dataPathAddress } of state.peers.values())
      if (other !== number && isPeerNumber(other)) peers.set(other, dataPathAddress);
    this.#tunnel.setPeers(peers);
    try {
      // Alone there is nobody to ask, and nobody who asks.
      if (peers.size > 0) this.#monitor.configure({ nodeNumber: number, localAddress, udpPort });
      troubles.clear("probes");
    } catch (error) {
      troubles.set("probes", `paths to other nodes are not looked at: ${messageOf(error)}`);
    }
    this.#monitor.watch(peersToCheck(state, { nodeId, number }));
  }

  /** Stops looking. */
  close(): void {
    this.#following?.cancel();
    this.#following = undefined;
    this.#looking?.cancel();
    this.#looking = undefined;
    this.#monitor.close();
    this.#segments.close();
  }

  /** The same, and takes the tunnel away. */
  async remove(): Promise<void> {
    this.close();
    this.#ground.troubles.retain(PREFIX, new Set());
    this.#ground.troubles.clear("probes");
    this.#mtuBytes = 0;
    await this.#tunnel.remove();
  }

  #states(): PathState[] {
    return this.#monitor
      .paths()
      .map((path) => ({ ...path, fault: this.#segments.faultOf(path.peer.number) }));
  }

  #tell(): void {
    const { facts } = this.#monitor;
    if (facts === undefined) return;
    // where full-sized packets vanish, TCP through the full-sized tunnel of the probes would stall, too
    const whole = this.#monitor
      .paths()
      .filter(({ isSilent, mtuBytes }) => !isSilent && mtuBytes === facts.fullBytes);
    this.#segments.watch(whole.map(({ peer }) => peer));
    const paths = this.#states();
    const { troubles } = this.#ground;
    const found = pathTroubles(paths, facts);
    troubles.retain(PREFIX, new Set([...found.keys()].map((key) => PREFIX + key)));
    for (const [key, words] of found) troubles.set(PREFIX + key, words);
    const mtuBytes = pathMtuOf(paths, facts) || this.#mtuBytes;
    if (mtuBytes === this.#mtuBytes) return;
    this.#mtuBytes = mtuBytes;
    this.#onMtu(mtuBytes);
  }
}
