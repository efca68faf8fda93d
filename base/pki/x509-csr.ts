/**
 * Node keys (ECDSA P-256) and certificate requests: made by a joining node, read by the CA.
 * Edge: to node:crypto. The private key never leaves the node; the subject of a request is ignored by the CA.
 * Source: RFC 2986 (PKCS #10), RFC 5758 (ecdsa-with-SHA256).
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { promisify } from "node:util";
import { InvalidArgumentError, messageOf } from "../errors/errors.js";
import { bits, DerReader, explicit, integer, oid, sequence, TAG, tlv } from "./der.js";
import { fromPem, toPem } from "./pem.js";
import { distinguishedName } from "./x509-name.js";

const REQUEST_LABEL = "CERTIFICATE REQUEST";
/** A request of ours has about 250 bytes; more than this is nobody's. */
const REQUEST_PEM_CHARS_MAX = 8_192;

const generate = promisify(generateKeyPair);

/** AlgorithmIdentifier of ecdsa-with-SHA256: without parameters. */
export const ECDSA_SHA256 = sequence(oid("1.2.840.10045.4.3.2"));

/** @returns a new ECDSA P-256 key pair. */
export async function generateNodeKey(): Promise<{
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}> {
  return await generate("ec", { namedCurve: "prime256v1" });
}

/** `keyPem` is PKCS #8; keep it readable by its owner only. */
export async function createKeyAndCsr(): Promise<{ keyPem: string; csrPem: string }> {
  const { privateKey } = await generateNodeKey();
  const keyPem = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  return { keyPem, csrPem: createCsr({ keyPem, subject: distinguishedName({ CN: "skein-node" }) }) };
}

/** A request for a key that is there. @param options.subject DER of the name. */
export function createCsr(options: { readonly keyPem: string; readonly subject: Uint8Array }): string {
  const privateKey = createPrivateKey(options.keyPem);
  const publicKey = createPublicKey(privateKey);
  const algorithm = signatureAlgorithm(privateKey);
  const info = sequence(
    integer(Uint8Array.of(0)),
    options.subject,
    publicKey.export({ format: "der", type: "spki" }),
    explicit(0), // no attributes
  );
  return toPem(REQUEST_LABEL, sequence(info, algorithm, bits(sign("sha256", info, privateKey))));
}

/** With SHA-256. @throws {InvalidArgumentError} neither an ECDSA nor an RSA key. */
export function signatureAlgorithm(key: KeyObject): Uint8Array {
  if (key.asymmetricKeyType === "ec") return ECDSA_SHA256;
  if (key.asymmetricKeyType === "rsa") return sequence(oid("1.2.840.113549.1.1.11"), tlv(0x05));
  throw new InvalidArgumentError(`a CA key must be ECDSA or RSA, got ${key.asymmetricKeyType ?? "another"}`);
}

/**
 * The public key of a request whose signature proves possession of the private key.
 * @throws {InvalidArgumentError} when it is malformed, not ECDSA P-256 with SHA-256, or wrongly signed.
 */
export function publicKeyOfCsr(csrPem: string): KeyObject {
  if (csrPem.length > REQUEST_PEM_CHARS_MAX) {
    throw new InvalidArgumentError(`certificate request is longer than ${REQUEST_PEM_CHARS_MAX} characters`);
  }
  const file = new DerReader(fromPem(REQUEST_LABEL, csrPem));
  const request = new DerReader(file.next(TAG.sequence).content);
  const info = request.next(TAG.sequence);
  const algorithm = request.next(TAG.sequence);
  const signatureBits = request.next(TAG.bitString).content;
  if (!file.done || !request.done || signatureBits[0] !== 0) {
    throw new InvalidArgumentError(
      "malformed DER: a certificate request ends after its signature of whole bytes",
    );
  }
  if (Buffer.compare(algorithm.whole, ECDSA_SHA256) !== 0) {
    throw new InvalidArgumentError("certificate request must be signed by ecdsa-with-SHA256");
  }
  const fields = new DerReader(info.content);
  fields.next(TAG.integer);
  fields.next(TAG.sequence);
  const publicKey = readPublicKey(fields.next(TAG.sequence).whole);
  if (!verify("sha256", info.whole, publicKey, signatureBits.subarray(1))) {
    throw new InvalidArgumentError("certificate request is not signed by the key it asks for");
  }
  return publicKey;
}

function readPublicKey(spki: Uint8Array): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch (error) {
    throw new InvalidArgumentError(`certificate request holds an unreadable key: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    throw new InvalidArgumentError("certificate request must hold an ECDSA P-256 key");
  }
  return key;
}
