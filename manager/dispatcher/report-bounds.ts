/**
 * What an agent may say, and how much. Reports of many agents travel to the leader together: one that did not
 * fit would hold up all of them; and an address that is none would reach the kernels of all nodes.
 * Pure. Invariants: an address that passes is one, a task's is IPv4; what passes fits, in the largest
 * delivery there is, into one message to the leader.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { isIpv4 } from "../../net-overlay/ipam/cidr.js";
import { isAddress } from "../../net-overlay/ipam/host-addresses.js";
import { TaskStatusUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import { NodeDescription } from "../../proto/gen/skein/v1/types.js";

/** Updates in one batch of an agent. */
export const BATCH_UPDATES_MAX = 1_000;
/** Encoded bytes of one update; 4000 of them go into one delivery, whose limit is 16 MiB. */
export const UPDATE_BYTES_MAX = 3 * 1024;
/** UTF-8 bytes that are kept of an error, which may be a registry's own words, and of a message. */
export const ERR_BYTES_MAX = 2 * 1024;
export const MESSAGE_BYTES_MAX = 512;
/** They stand in the ruleset of every node. */
const NODE_ADDRESSES_MAX = 16;
/** Base64 of 32 bytes. */
const WIREGUARD_KEY = /^[A-Za-z0-9+/]{43}=$/;
/**
 * What passes between two nodes decides the packets of a whole network: a size too small for IPv4 behind a
 * tunnel's headers would stop them. Source: RFC 791 (68 bytes), and 50 for VXLAN.
 */
const PATH_MTU_BYTES_MIN = 118;
const UDP_PORT_MAX = 65_535;
/** Encoded bytes. */
export const DESCRIPTION_BYTES_MAX = 64 * 1024;

function cut(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text;
  const mark = ` … (cut, ${text.length} characters)`;
  const kept = Buffer.from(text)
    .subarray(0, bytesMax - Buffer.byteLength(mark))
    .toString();
  return kept.replace(/\uFFFD$/, "") + mark; // the last character may have been cut in two
}

/** @throws {InvalidArgumentError} neither empty nor an IPv4 address. */
function checkAddress(what: string, address: string): void {
  if (address === "" || isIpv4(address)) return;
  const told = JSON.stringify(address.slice(0, 64));
  throw new InvalidArgumentError(`${what} must be an IPv4 address, got ${told}`);
}

/**
 * @returns the updates with long words cut.
 * @throws {InvalidArgumentError} too many, one that is too large all the same, or a wrong address.
 */
export function boundedUpdates(updates: readonly TaskStatusUpdate[]): readonly TaskStatusUpdate[] {
  if (updates.length > BATCH_UPDATES_MAX) {
    throw new InvalidArgumentError(
      `a status batch may have ${BATCH_UPDATES_MAX} updates, got ${updates.length}`,
    );
  }
  return updates.map((update) => {
    const { status } = update;
    checkAddress("the gateway address of a task", update.gatewayAddress);
    const bounded =
      status === undefined
        ? update
        : {
            ...update,
            status: {
              ...status,
              err: cut(status.err, ERR_BYTES_MAX),
              message: cut(status.message, MESSAGE_BYTES_MAX),
            },
          };
    const bytes = TaskStatusUpdate.encode(bounded).finish().length;
    if (bytes > UPDATE_BYTES_MAX) {
      throw new InvalidArgumentError(`a task status may have ${UPDATE_BYTES_MAX} bytes, got ${bytes}`);
    }
    return bounded;
  });
}

/** @throws {InvalidArgumentError} */
export function checkDescription(description: NodeDescription | undefined): void {
  const { dataPathAddress = "", nodeAddresses = [] } = description ?? {};
  if (nodeAddresses.length > NODE_ADDRESSES_MAX) {
    throw new InvalidArgumentError(
      `a node may have ${NODE_ADDRESSES_MAX} addresses, got ${nodeAddresses.length}`,
    );
  }
  for (const address of [dataPathAddress, ...nodeAddresses]) {
    if (address === "" || isAddress(address)) continue;
    const told = JSON.stringify(address.slice(0, 64));
    throw new InvalidArgumentError(`an address of a node must be an IPv4 or IPv6 address, got ${told}`);
  }
  checkPaths(description);
  const bytes = description === undefined ? 0 : NodeDescription.encode(description).finish().length;
  if (bytes > DESCRIPTION_BYTES_MAX) {
    throw new InvalidArgumentError(
      `a node description may have ${DESCRIPTION_BYTES_MAX} bytes, got ${bytes}`,
    );
  }
}

/** Zero and no text mean: not known yet, or not to be had. */
function checkPaths(description: NodeDescription | undefined): void {
  const { wireguardPublicKey = "", wireguardUdpPort = 0, pathMtuBytes = 0 } = description ?? {};
  if (wireguardPublicKey !== "" && !WIREGUARD_KEY.test(wireguardPublicKey))
    throw new InvalidArgumentError("the WireGuard key of a node must be 32 bytes in base64");
  if (wireguardUdpPort > UDP_PORT_MAX)
    throw new InvalidArgumentError(
      `the WireGuard port of a node must be a UDP port, got ${wireguardUdpPort}`,
    );
  if (pathMtuBytes !== 0 && pathMtuBytes < PATH_MTU_BYTES_MIN)
    throw new InvalidArgumentError(
      `the path MTU of a node must be at least ${PATH_MTU_BYTES_MIN} bytes, got ${pathMtuBytes}`,
    );
}
