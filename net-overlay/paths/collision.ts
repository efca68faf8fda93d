/**
 * What of the machine somebody else has: ports, VXLAN identifiers, the namespace's mesh.
 * Pure. Invariant: a collision is never fatal: it is told in words, and tried again.
 * Source: docs/design/network-paths.md, "Collisions".
 */
import { FailedPreconditionError } from "../../base/errors/errors.js";

/** A tunnel that could not be made; a stand-in without a way to other nodes is in its place. */
export interface TunnelCollision {
  /** "mesh", or a network's id. */
  readonly what: string;
  readonly vni: number;
  readonly udpPort: number;
  /** Somebody has the UDP port, or a tunnel with the same identifier on it. */
  readonly taken: "port" | "identifier";
}

/** Nothing of the mesh can be there beside another's. */
export class CollisionError extends FailedPreconditionError {}

/** What the collision is, and by whom, when that is known. */
export function collisionWords({ taken, vni, udpPort }: TunnelCollision, holder: string): string {
  const thing = taken === "port" ? `udp port ${udpPort}` : `VXLAN id ${vni} on udp port ${udpPort}`;
  return `${thing} is taken by ${holder}: no traffic to other nodes`;
}
