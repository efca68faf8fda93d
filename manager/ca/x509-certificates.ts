/**
 * Makes the root certificate and node certificates, and reads them back.
 * Edge: to node:crypto (keys, signatures, parsing; only the DER frame is written here,
 * because a certificate library costs 20 MB of memory for three fixed shapes). Source: RFC 5280;
 * the subjects follow SwarmKit's.
 */
import { createHash, createPrivateKey, type KeyObject, sign } from "node:crypto";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { PeerRole } from "../../base/grpc/peer-identity.js";
import { bits, bool, explicit, integer, octets, oid, sequence, time, tlv } from "../../base/pki/der.js";
import { toPem } from "../../base/pki/pem.js";
import { generateNodeKey, publicKeyOfCsr, signatureAlgorithm } from "../../base/pki/x509-csr.js";
import { distinguishedName } from "../../base/pki/x509-name.js";
import { certificateParts, parseCertificate } from "../../base/pki/x509-parts.js";
import type { Random } from "../../base/random/random.js";

const DAY_MS = 24 * 60 * 60 * 1_000;
/** Life of a root certificate: 20 years, as SwarmKit's. */
export const ROOT_EXPIRY_MS = 20 * 365 * DAY_MS;
/** Life of a node certificate when the cluster spec does not say. */
export const NODE_CERT_EXPIRY_MS = 90 * DAY_MS;
/** Certificates begin to count earlier than they are made: clocks of nodes differ. */
export const BACKDATE_MS = 60 * 60 * 1_000;

const ROOT_NAME = "swarm-ca";

export interface RootKeyPair {
  readonly certPem: string;
  /** PKCS #8. Secret. */
  readonly keyPem: string;
}

/** A new self-signed root: ECDSA P-256, 20 years. */
export async function createRootCertificate(options: {
  nowMs: number;
  random: Random;
}): Promise<RootKeyPair> {
  const { privateKey, publicKey } = await generateNodeKey();
  const certPem = signCertificate({
    issuer: distinguishedName({ CN: ROOT_NAME }),
    subject: distinguishedName({ CN: ROOT_NAME }),
    publicKey,
    signingKey: privateKey,
    serial: serialNumber(options.random),
    notBeforeMs: options.nowMs - BACKDATE_MS,
    notAfterMs: options.nowMs + ROOT_EXPIRY_MS,
    extensions: [
      // a CA, one level below it
      extension("2.5.29.19", true, sequence(bool(true), integer(Uint8Array.of(1)))),
      extension("2.5.29.15", true, bits(Uint8Array.of(0b0000_0110), 1)), // keyCertSign, cRLSign
      extension("2.5.29.14", false, octets(keyIdentifier(publicKey))),
    ],
  });
  return { certPem, keyPem: privateKey.export({ format: "pem", type: "pkcs8" }).toString() };
}

export interface NodeCertificateRequest {
  readonly root: RootKeyPair;
  readonly csrPem: string;
  readonly nodeId: string;
  readonly role: PeerRole;
  readonly clusterId: string;
  readonly nowMs: number;
  /** Milliseconds of life. */
  readonly expiryMs: number;
  readonly random: Random;
}

/** By which names a node is verified; managers also stand for the CA. */
export function nodeDnsNames(role: PeerRole, nodeId: string): readonly string[] {
  return [role, nodeId, ...(role === "swarm-manager" ? [ROOT_NAME] : [])];
}

/**
 * A node certificate: O = cluster, OU = role, CN = node; DNS names for verification by role.
 * @throws {InvalidArgumentError} when the request is malformed or not signed by its own key.
 */
export function issueNodeCertificate(request: NodeCertificateRequest): string {
  const { nodeId, role, clusterId, root, nowMs } = request;
  const publicKey = publicKeyOfCsr(request.csrPem);
  const dnsNames = nodeDnsNames(role, nodeId).map((name) => tlv(0x82, new TextEncoder().encode(name)));
  const serverAuth = oid("1.3.6.1.5.5.7.3.1");
  const clientAuth = oid("1.3.6.1.5.5.7.3.2");
  const issuer = certificateParts(root.certPem);
  return signCertificate({
    issuer: issuer.subject,
    subject: distinguishedName({ O: clusterId, OU: role, CN: nodeId }),
    publicKey,
    signingKey: createPrivateKey(root.keyPem),
    serial: serialNumber(request.random),
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs: Math.min(nowMs + request.expiryMs, issuer.notAfterMs),
    extensions: [
      extension("2.5.29.19", true, sequence()), // not a CA
      extension("2.5.29.15", true, bits(Uint8Array.of(0b1000_0000), 7)), // digitalSignature
      extension("2.5.29.37", false, sequence(serverAuth, clientAuth)),
      extension("2.5.29.14", false, octets(keyIdentifier(publicKey))),
      ...authorityKeyId(issuer.keyId),
      extension("2.5.29.17", false, sequence(...dnsNames)),
    ],
  });
}

/**
 * A root's name and key under another root: who trusts only that one trusts what the new root signs, when it
 * is shown this certificate, too.
 * @throws {InvalidArgumentError} a certificate or key that cannot be read.
 */
export function crossSign(options: {
  readonly rootPem: string;
  readonly by: RootKeyPair;
  readonly nowMs: number;
  readonly random: Random;
}): string {
  const root = certificateParts(options.rootPem);
  const by = certificateParts(options.by.certPem);
  return signCertificate({
    issuer: by.subject,
    subject: root.subject,
    publicKey: root.publicKey,
    signingKey: createPrivateKey(options.by.keyPem),
    serial: serialNumber(options.random),
    notBeforeMs: options.nowMs - BACKDATE_MS,
    notAfterMs: Math.min(root.notAfterMs, by.notAfterMs),
    extensions: [
      extension("2.5.29.19", true, sequence(bool(true), integer(Uint8Array.of(0)))),
      extension("2.5.29.15", true, bits(Uint8Array.of(0b0000_0110), 1)), // keyCertSign, cRLSign
      ...(root.keyId === undefined ? [] : [extension("2.5.29.14", false, octets(root.keyId))]),
      ...authorityKeyId(by.keyId),
    ],
  });
}

function authorityKeyId(keyId: Uint8Array | undefined): Uint8Array[] {
  return keyId === undefined ? [] : [extension("2.5.29.35", false, sequence(tlv(0x80, keyId)))];
}

export interface NodeCertificate {
  readonly nodeId: string;
  readonly role: PeerRole;
  readonly clusterId: string;
  readonly notAfterMs: number;
}

/**
 * Reads a node certificate and checks that this root signed it and that it counts now.
 * @throws {InvalidArgumentError} saying which of these is not so.
 */
export function readNodeCertificate(options: {
  certPem: string;
  rootPem: string;
  nowMs: number;
}): NodeCertificate {
  const certificate = parseCertificate(options.certPem);
  const root = parseCertificate(options.rootPem);
  if (!certificate.checkIssued(root) || !certificate.verify(root.publicKey)) {
    throw new InvalidArgumentError("the certificate was not issued by this cluster's root CA");
  }
  const notAfterMs = Date.parse(certificate.validTo);
  if (options.nowMs > notAfterMs) {
    throw new InvalidArgumentError(`the certificate expired at ${certificate.validTo}`);
  }
  if (options.nowMs < Date.parse(certificate.validFrom)) {
    throw new InvalidArgumentError(`the certificate counts from ${certificate.validFrom}`);
  }
  const subject = new Map(
    certificate.subject.split("\n").map((line): [string, string] => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  const role = subject.get("OU");
  if (role !== "swarm-manager" && role !== "swarm-worker") {
    throw new InvalidArgumentError(`the certificate names no role of a node: OU=${role ?? ""}`);
  }
  return { nodeId: subject.get("CN") ?? "", role, clusterId: subject.get("O") ?? "", notAfterMs };
}

/** SHA-256 of the certificate in DER as 50 characters of base 36: the digest in join tokens. */
export function certificateDigest(certPem: string): string {
  const hex = createHash("sha256").update(parseCertificate(certPem).raw).digest("hex");
  return BigInt(`0x${hex}`).toString(36).padStart(50, "0");
}

interface SignedParts {
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly publicKey: KeyObject;
  readonly signingKey: KeyObject;
  readonly serial: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly extensions: readonly Uint8Array[];
}

function signCertificate(parts: SignedParts): string {
  const algorithm = signatureAlgorithm(parts.signingKey);
  const body = sequence(
    explicit(0, integer(Uint8Array.of(2))), // version 3
    integer(parts.serial),
    algorithm,
    parts.issuer,
    sequence(time(parts.notBeforeMs), time(parts.notAfterMs)),
    parts.subject,
    parts.publicKey.export({ format: "der", type: "spki" }),
    explicit(3, sequence(...parts.extensions)),
  );
  const signature = sign("sha256", body, parts.signingKey);
  return toPem("CERTIFICATE", sequence(body, algorithm, bits(signature)));
}

function extension(id: string, critical: boolean, value: Uint8Array): Uint8Array {
  return critical ? sequence(oid(id), bool(true), octets(value)) : sequence(oid(id), octets(value));
}

/** 127 random bits: positive, at most 20 octets (RFC 5280 4.1.2.2). */
function serialNumber(random: Random): Uint8Array {
  const bytes = random.bytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

/** SHA-1 of the key's bits (RFC 5280 4.2.1.2, method 1): a name, not a protection. */
function keyIdentifier(key: KeyObject): Uint8Array {
  const spki = key.export({ format: "der", type: "spki" });
  return new Uint8Array(
    createHash("sha1")
      .update(spki.subarray(spki.length - 65))
      .digest(),
  );
}
