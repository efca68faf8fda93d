/**
 * Node keys (ECDSA P-256) and certificate requests: made by a joining node, read by the CA.
 * Edge: to node:crypto. The private key never leaves the node; the subject of a request is ignored by the CA.
 * Source: RFC 2986 (PKCS #10), RFC 5758 (ecdsa-with-SHA256).
 */
import { createPublicKey, generateKeyPair, type KeyObject, sign, verify } from "node:crypto";
import { promisify } from "node:util";
import { InvalidArgumentError, messageOf } from "../errors/errors.js";
import { bits, DerReader, explicit, integer, oid, sequence, TAG } from "./der.js";
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
  const { privateKey, publicKey } = await generateNodeKey();
  const info = sequence(
    integer(Uint8Array.of(0)),
    distinguishedName({ CN: "skein-node" }),
    publicKey.export({ format: "der", type: "spki" }),
    explicit(0), // no attributes
  );
  const signature = sign("sha256", info, privateKey);
  const keyPem = privateKey.export({ format: "pem", type: "pkcs8" });
  return {
    keyPem: keyPem.toString(),
    csrPem: toPem(REQUEST_LABEL, sequence(info, ECDSA_SHA256, bits(signature))),
  };
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
