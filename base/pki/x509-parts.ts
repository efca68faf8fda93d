/**
 * What node:crypto does not tell of a certificate: names and keys as they stand in it, byte for byte, because
 * chains are built by comparing them. Also cuts a bundle into its certificates.
 * Edge: to node:crypto for parsing. Source: RFC 5280 4.1.
 */
import { createHash, type KeyObject, X509Certificate } from "node:crypto";
import { InvalidArgumentError, messageOf } from "../errors/errors.js";
import { DerReader, oid, TAG } from "./der.js";
import { toPem } from "./pem.js";

/** A bundle longer than this is no bundle of roots. */
const BUNDLE_CHARS_MAX = 256 * 1024;
const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
const CONTEXT = { version: 0xa0, issuerUniqueId: 0x81, subjectUniqueId: 0x82, extensions: 0xa3 } as const;
const SUBJECT_KEY_ID = oid("2.5.29.14");

/** The certificates of a text, in order, each as PEM of its own. */
export function splitCertificates(pem: string): readonly string[] {
  if (pem.length > BUNDLE_CHARS_MAX)
    throw new InvalidArgumentError(`certificates may have ${BUNDLE_CHARS_MAX} characters, got ${pem.length}`);
  return [...pem.matchAll(BLOCK)].map(([block]) => `${block}\n`);
}

/** Its key can be read, too. @throws {InvalidArgumentError} */
export function parseCertificate(pem: string): X509Certificate {
  try {
    const certificate = new X509Certificate(pem);
    certificate.publicKey; // parsed when it is asked for
    return certificate;
  } catch (error) {
    throw new InvalidArgumentError(`unreadable certificate: ${messageOf(error)}`, { cause: error });
  }
}

export interface CertificateParts {
  /** The certificate alone, in one form of PEM. */
  readonly pem: string;
  /** DER of the name. */
  readonly subject: Uint8Array;
  /** DER of SubjectPublicKeyInfo. */
  readonly publicKeyInfo: Uint8Array;
  readonly publicKey: KeyObject;
  /** As the certificate names its key; undefined: it does not. */
  readonly keyId: Uint8Array | undefined;
  readonly isCa: boolean;
  readonly isSelfSigned: boolean;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** The first certificate of a text. @throws {InvalidArgumentError} */
export function certificateParts(pem: string): CertificateParts {
  const certificate = parseCertificate(pem);
  const der = new Uint8Array(certificate.raw);
  const body = new DerReader(
    new DerReader(new DerReader(der).next(TAG.sequence).content).next(TAG.sequence).content,
  );
  if (body.peek() === CONTEXT.version) body.next(CONTEXT.version);
  body.next(TAG.integer); // serial
  body.next(TAG.sequence); // algorithm
  body.next(TAG.sequence); // issuer
  body.next(TAG.sequence); // validity
  const subject = body.next(TAG.sequence).whole;
  const publicKeyInfo = body.next(TAG.sequence).whole;
  for (const tag of [CONTEXT.issuerUniqueId, CONTEXT.subjectUniqueId])
    if (body.peek() === tag) body.next(tag);
  const extensions = body.peek() === CONTEXT.extensions ? body.next(CONTEXT.extensions).content : undefined;
  return {
    pem: toPem("CERTIFICATE", der),
    subject: new Uint8Array(subject),
    publicKeyInfo: new Uint8Array(publicKeyInfo),
    publicKey: certificate.publicKey,
    keyId: extensions === undefined ? undefined : keyIdIn(extensions),
    isCa: certificate.ca,
    isSelfSigned: certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey),
    notBeforeMs: Date.parse(certificate.validFrom),
    notAfterMs: Date.parse(certificate.validTo),
  };
}

function keyIdIn(extensions: Uint8Array): Uint8Array | undefined {
  const list = new DerReader(new DerReader(extensions).next(TAG.sequence).content);
  while (!list.done) {
    const extension = new DerReader(list.next(TAG.sequence).content);
    const id = extension.next(TAG.oid).whole;
    if (Buffer.compare(id, SUBJECT_KEY_ID) !== 0) continue;
    if (extension.peek() === TAG.boolean) extension.next(TAG.boolean);
    const value = new DerReader(extension.next(TAG.octetString).content);
    return new Uint8Array(value.next(TAG.octetString).content);
  }
  return undefined;
}

/** Hex SHA-256 of a certificate's public key (DER of SubjectPublicKeyInfo): names whoever signs with it. */
export function publicKeyHash(pem: string): string {
  const { publicKey } = parseCertificate(pem);
  return createHash("sha256")
    .update(publicKey.export({ format: "der", type: "spki" }))
    .digest("hex");
}

/**
 * Whose key has signed a certificate: the hash of the first of the candidates' keys that fits; "": none does.
 * @param chain the certificate, and behind it what was handed out with it.
 */
export function issuerKeyHash(chain: string, roots: string): string {
  const [leaf, ...rest] = splitCertificates(chain);
  if (leaf === undefined) return "";
  const certificate = parseCertificate(leaf);
  for (const candidate of [...rest, ...splitCertificates(roots)])
    if (certificate.verify(parseCertificate(candidate).publicKey)) return publicKeyHash(candidate);
  return "";
}

/** Hex SHA-256 of a PEM text. */
export function textHash(pem: string): string {
  return createHash("sha256").update(pem).digest("hex");
}
