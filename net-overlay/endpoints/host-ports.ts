/**
 * Which host-mode ports a task gets on this node.
 * Pure. Invariants: a port has one owner: a task here, the routing mesh, or a process of the node; one that
 * is to be open on chosen places is refused where there is none of them, never opened wider.
 */
import { FailedPreconditionError } from "../../base/errors/errors.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import type { PortConfig } from "../../proto/gen/skein/v1/types.js";
import { PublishMode } from "../../proto/gen/skein/v1/types.js";
import { canonicalPlace, isAddress } from "../ipam/host-addresses.js";
import type { NetworkState } from "./network-state.js";
import type { NftProtocol, Sandbox } from "./sandbox.js";
import { nftProtocol, portText } from "./sandbox.js";

/** Where ports without a number come from: the kernel's ephemeral range. */
const CHOSEN_MIN = 32_768;
const CHOSEN_MAX = 60_999;

/** "Every address" of a family. */
const WILDCARDS: readonly string[] = ["0.0.0.0", "::"];

/** @throws {FailedPreconditionError} when a port is taken, or has no place on this node, naming it. */
export function claimHostPorts(
  task: Task,
  options: {
    state: NetworkState;
    sandboxes: Iterable<Sandbox>;
    nodeId: string;
    /** Whether a process of the node listens there. @param addresses none: on any. */
    isHeld: (protocol: NftProtocol, port: number, addresses: readonly string[]) => boolean;
    /** The node's addresses, and the names of its interfaces. */
    places: () => ReadonlySet<string>;
  },
): PortConfig[] {
  const taken = new Set<string>();
  for (const { hostPorts } of options.sandboxes) for (const port of hostPorts) taken.add(portText(port));
  for (const service of options.state.services.values()) {
    for (const port of service.ports) if (port.publishMode === PublishMode.INGRESS) taken.add(portText(port));
  }
  const isFree = (port: PortConfig): boolean =>
    !taken.has(portText(port)) &&
    !options.isHeld(nftProtocol(port.protocol), port.publishedPort, addressesOf(port));
  const wanted = (task.endpoint?.ports ?? []).filter((port) => port.publishMode === PublishMode.HOST);
  return wanted.map((asked) => {
    if (asked.hostAddresses.length > 0 && !hasPlace(asked, options.places())) {
      throw new FailedPreconditionError(
        `port ${portText(asked)}: none of ${asked.hostAddresses.join(", ")} is on node ${options.nodeId}`,
      );
    }
    let port = asked.publishedPort === 0 ? { ...asked, publishedPort: CHOSEN_MIN } : asked;
    while (asked.publishedPort === 0 && !isFree(port) && port.publishedPort < CHOSEN_MAX) {
      port = { ...port, publishedPort: port.publishedPort + 1 };
    }
    if (!isFree(port)) {
      throw new FailedPreconditionError(`port ${portText(port)} is already in use on node ${options.nodeId}`);
    }
    taken.add(portText(port));
    return port;
  });
}

/** Whether a port that is to be open on chosen places has one of them. */
export function hasPlace(
  { hostAddresses }: { readonly hostAddresses?: readonly string[] },
  places: ReadonlySet<string>,
): boolean {
  return (hostAddresses ?? WILDCARDS).some(
    (place) => WILDCARDS.includes(place) || places.has(canonicalPlace(place)),
  );
}

/** Where a process would be in the way; an interface has any address. */
function addressesOf({ hostAddresses }: PortConfig): readonly string[] {
  return hostAddresses.every(isAddress) ? hostAddresses : [];
}

/** Whether the mesh or a task here has the port. */
export function isPortPublished(
  asked: { readonly protocol: NftProtocol; readonly port: number },
  options: { state: NetworkState; sandboxes: Iterable<Sandbox> },
): boolean {
  const isSame = (config: PortConfig): boolean =>
    config.publishedPort === asked.port && nftProtocol(config.protocol) === asked.protocol;
  for (const { ports } of options.state.services.values()) {
    if (ports.some((config) => config.publishMode === PublishMode.INGRESS && isSame(config))) return true;
  }
  for (const { hostPorts } of options.sandboxes) if (hostPorts.some(isSame)) return true;
  return false;
}
