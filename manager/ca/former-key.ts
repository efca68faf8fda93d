/**
 * Late renewal: a node whose certificate has expired while it was away proves itself by the key of that
 * certificate, which signs the new request.
 * Pure but for checking signatures. Invariant: only the key of the certificate that the cluster issued last
 * to a node that it still knows counts.
 */
import { verify } from "node:crypto";
import type { PeerIdentity } from "../../base/grpc/peer-identity.js";
import { parseCertificate } from "../../base/pki/x509-parts.js";
import type { IssueRequest } from "../../proto/gen/skein/v1/ca.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";

/**
 * Whom a renewal proves to come from; undefined: nobody.
 * @throws {InvalidArgumentError} the former certificate cannot be read.
 */
export function formerIdentity(
  request: Pick<IssueRequest, "csrPem" | "formerCertificatePem" | "formerKeySignature">,
  nodeOf: (nodeId: string) => Node | undefined,
): PeerIdentity | undefined {
  const { csrPem, formerCertificatePem, formerKeySignature } = request;
  if (formerCertificatePem === "" || formerKeySignature.length === 0) return undefined;
  const former = parseCertificate(formerCertificatePem);
  const part = (name: string): string => new RegExp(`^${name}=(.*)$`, "m").exec(former.subject)?.[1] ?? "";
  const nodeId = part("CN");
  const issued = nodeOf(nodeId)?.certificatePem ?? "";
  if (issued === "" || !parseCertificate(issued).publicKey.equals(former.publicKey)) return undefined;
  if (!verify("sha256", Buffer.from(csrPem), former.publicKey, formerKeySignature)) return undefined;
  const role = part("OU") === "swarm-manager" ? "swarm-manager" : "swarm-worker";
  return { nodeId, role, clusterId: part("O") };
}
