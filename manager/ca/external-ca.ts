/**
 * External CAs: which of them signs for a root, what they are asked, and what counts as an answer.
 * Pure. Invariant: a certificate from outside is used only when it says what was asked for and the root that
 * the cluster trusts has signed it. Source: CFSSL's `sign` endpoint, as Docker uses it.
 */
import { InvalidArgumentError, UnavailableError } from "../../base/errors/errors.js";
import type { PeerRole } from "../../base/grpc/peer-identity.js";
import { publicKeyOfCsr } from "../../base/pki/x509-csr.js";
import { certificateParts, parseCertificate, splitCertificates } from "../../base/pki/x509-parts.js";
import type { ExternalCa } from "../../proto/gen/skein/v1/types.js";
import { nodeDnsNames, type RootKeyPair } from "./x509-certificates.js";

export interface ExternalNodeRequest {
  /** Roots that the CA's own server certificate may come from, besides the machine's. */
  readonly trustPem: string;
  /** Must have signed the answer. */
  readonly rootPem: string;
  readonly csrPem: string;
  readonly nodeId: string;
  readonly role: PeerRole;
  readonly clusterId: string;
}

export interface ExternalSigner {
  /** Resolves when one of them answers at all, under a certificate that counts. @throws {UnavailableError} */
  reach(cas: readonly ExternalCa[], trustPem: string): Promise<void>;
  /** @returns PEM: the certificate, then intermediates. @throws {UnavailableError} the last CA's answer. */
  sign(cas: readonly ExternalCa[], request: ExternalNodeRequest): Promise<string>;
  /** A root's key under the external CA's root. @throws {UnavailableError} */
  crossSign(
    cas: readonly ExternalCa[],
    request: { readonly trustPem: string; readonly rootPem: string; readonly root: RootKeyPair },
  ): Promise<string>;
}

/** Without one: where no CA can be called. */
export const NO_EXTERNAL_CA: ExternalSigner = {
  reach: () => Promise.reject(new UnavailableError("no external CA can be called here")),
  sign: () => Promise.reject(new UnavailableError("no external CA can be called here")),
  crossSign: () => Promise.reject(new UnavailableError("no external CA can be called here")),
};

/** Those that sign for this root; one that names no root signs for the current one. */
export function externalCasOf(
  cas: readonly ExternalCa[],
  rootPem: string,
  currentRootPem: string,
): readonly ExternalCa[] {
  const wanted = certificateParts(rootPem).pem;
  return cas.filter(({ caCert }) => {
    const given = Buffer.from(caCert).toString("utf8");
    return certificateParts(given.trim() === "" ? currentRootPem : given).pem === wanted;
  });
}

/** @throws {InvalidArgumentError} */
export function checkExternalCas(cas: readonly ExternalCa[]): void {
  for (const { protocol, url, caCert } of cas) {
    if (protocol !== "cfssl")
      throw new InvalidArgumentError(
        `unsupported external CA protocol ${JSON.stringify(protocol)}: cfssl is known`,
      );
    if (!URL.canParse(url) || new URL(url).protocol !== "https:")
      throw new InvalidArgumentError(
        `the URL of an external CA must begin with https://, got ${JSON.stringify(url)}`,
      );
    const pem = Buffer.from(caCert).toString("utf8");
    if (pem.trim() !== "") certificateParts(pem);
  }
}

/** The body of a request for a node's certificate. */
export function nodeSignRequest({ csrPem, nodeId, role, clusterId }: ExternalNodeRequest): unknown {
  return {
    hosts: nodeDnsNames(role, nodeId),
    certificate_request: csrPem,
    subject: { CN: nodeId, names: [{ O: clusterId, OU: role }] },
  };
}

/** The certificate inside an answer. @throws {UnavailableError} with the CA's own words. */
export function certificateInAnswer(answer: unknown): string {
  const fields = asObject(answer);
  const certificate = asObject(fields["result"])["certificate"];
  if (fields["success"] !== false && typeof certificate === "string" && certificate !== "")
    return certificate;
  const errors = Array.isArray(fields["errors"]) ? fields["errors"] : [];
  const words = errors.map((error) => asObject(error)["message"]).filter((word) => typeof word === "string");
  const told = words.length > 0 ? words.join("; ").slice(0, 512) : "its answer holds no certificate";
  throw new UnavailableError(`the external CA did not sign: ${told}`);
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  // its values are read as unknown
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** @throws {UnavailableError} the certificate is not what was asked for. */
export function checkedNodeCertificate(pem: string, request: ExternalNodeRequest): string {
  const [leafPem, ...rest] = splitCertificates(pem);
  if (leafPem === undefined) throw wrong("it is no PEM");
  const leaf = parseCertificate(leafPem);
  if (!leaf.publicKey.equals(publicKeyOfCsr(request.csrPem))) throw wrong("it is for another key");
  if (!reaches(leafPem, rest, request.rootPem)) throw wrong("it was not signed for the cluster's root");
  // As connections show it: a second unit, maybe from a request that a worker made, would be a list here.
  const { subject } = leaf.toLegacyObject();
  const wanted = { CN: request.nodeId, OU: request.role, O: request.clusterId };
  for (const part of ["CN", "OU", "O"] as const)
    if (subject[part] !== wanted[part]) throw wrong(`its subject lacks ${part}=${wanted[part]}, or has more`);
  for (const name of nodeDnsNames(request.role, request.nodeId))
    if (leaf.checkHost(name) === undefined) throw wrong(`it lacks the DNS name ${name}`);
  // With either of these a worker could pose as a manager, or make certificates of its own.
  if (request.role === "swarm-worker" && leaf.checkHost("swarm-manager") !== undefined)
    throw wrong("it has a manager's DNS name");
  if (leaf.ca) throw wrong("it is a CA's own");
  return [leafPem, ...rest].join("");
}

/** Also of a cross-signed root. */
export function reaches(leafPem: string, intermediates: readonly string[], rootPem: string): boolean {
  let current = parseCertificate(leafPem);
  for (const next of [...intermediates, rootPem]) {
    if (current.verify(parseCertificate(rootPem).publicKey)) return true;
    const issuer = parseCertificate(next);
    if (!current.verify(issuer.publicKey)) return false;
    current = issuer;
  }
  return false;
}

function wrong(why: string): UnavailableError {
  return new UnavailableError(`the external CA's certificate cannot be used: ${why}`);
}
