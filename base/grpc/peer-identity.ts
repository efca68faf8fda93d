/**
 * Who is on the other side of an RPC: read from the client's certificate, never from the message.
 * Edge: to @grpc/grpc-js and node:tls. Subject of a node certificate: O = cluster id, OU = role,
 * CN = node id.
 */
import type { Metadata } from "@grpc/grpc-js";

export type PeerRole = "swarm-manager" | "swarm-worker";

export interface PeerIdentity {
  readonly nodeId: string;
  readonly role: PeerRole;
  readonly clusterId: string;
}

/** The part of a server call that this needs; every grpc-js server call has it. */
export interface IdentifiableCall {
  readonly metadata: Metadata;
  getAuthContext(): {
    sslPeerCertificate?: { subject: Record<string, string | string[] | undefined> } | undefined;
  };
  getPeer(): string;
}

const FORWARDED_NODE = "skein-forwarded-node";
const FORWARDED_ROLE = "skein-forwarded-role";

function first(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value[0] : value) ?? "";
}

function roleOf(text: string): PeerRole | undefined {
  return text === "swarm-manager" || text === "swarm-worker" ? text : undefined;
}

/** The peer of the connection itself; undefined without a valid client certificate. */
export function directPeer(call: IdentifiableCall): PeerIdentity | undefined {
  const subject = call.getAuthContext().sslPeerCertificate?.subject;
  const role = roleOf(first(subject?.["OU"]));
  if (subject === undefined || role === undefined) return undefined;
  return { nodeId: first(subject["CN"]), role, clusterId: first(subject["O"]) };
}

/** The original caller: the direct peer, or whom a manager says it forwards for. */
export function peerOf(call: IdentifiableCall): PeerIdentity | undefined {
  const direct = directPeer(call);
  const nodeId = call.metadata.get(FORWARDED_NODE)[0]?.toString();
  if (direct?.role !== "swarm-manager" || nodeId === undefined) return direct;
  const role = roleOf(call.metadata.get(FORWARDED_ROLE)[0]?.toString() ?? "");
  return role === undefined ? undefined : { nodeId, role, clusterId: direct.clusterId };
}

/** Marks a call that a manager forwards to the leader; an unknown caller is forwarded as nobody. */
export function markForwarded(metadata: Metadata, peer: PeerIdentity | undefined): void {
  metadata.set(FORWARDED_NODE, peer?.nodeId ?? "-");
  metadata.set(FORWARDED_ROLE, peer?.role ?? "-");
}

/** True on the answering side when another manager forwarded this call: it must not be forwarded again. */
export function isForwarded(call: IdentifiableCall): boolean {
  return call.metadata.get(FORWARDED_NODE).length > 0;
}
