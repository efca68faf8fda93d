/**
 * From one root CA to another: which root is asked for, what the cluster stores while its nodes change over,
 * and when that is done.
 * Pure but for making keys; an external CA is handed in. Invariants: a rotation begins only with a root whose
 * signatures the cluster can get; the old root goes only when every known node has a certificate of the new
 * one and says that it trusts it.
 */
import { createPrivateKey, createPublicKey } from "node:crypto";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import {
  type CertificateParts,
  certificateParts,
  publicKeyHash,
  splitCertificates,
  textHash,
} from "../../base/pki/x509-parts.js";
import type { Random } from "../../base/random/random.js";
import type { Node, RootCa } from "../../proto/gen/skein/v1/objects.js";
import type { ExternalCa } from "../../proto/gen/skein/v1/types.js";
import { type ExternalSigner, externalCasOf } from "./external-ca.js";
import { createJoinToken } from "./join-token.js";
import { signingRoot, trustBundle } from "./trust.js";
import {
  certificateDigest,
  createRootCertificate,
  crossSign,
  type RootKeyPair,
} from "./x509-certificates.js";

/** The shortest that a root given by a user may last still. */
const ROOT_LIFE_MIN_MS = 24 * 60 * 60 * 1_000;

/** What a cluster specification asks of the root. */
export interface RootWish {
  /** PEM; "": one is made when `forceRotate` is another than before. */
  readonly certPem: string;
  /** PEM; "": an external CA has it, or the cluster. */
  readonly keyPem: string;
  readonly forceRotate: number;
}

export interface RotationParts {
  readonly externalCas: readonly ExternalCa[];
  readonly external: ExternalSigner;
  readonly nowMs: number;
  readonly random: Random;
}

/**
 * @returns the root CA with a rotation begun, changed or as it was.
 * @throws {InvalidArgumentError} a certificate or key that cannot be used. {UnavailableError} an external CA
 * that is needed does not answer.
 */
export async function withRootWish(rootCa: RootCa, wish: RootWish, parts: RotationParts): Promise<RootCa> {
  const { forceRotate } = wish;
  if (wish.keyPem !== "" && wish.certPem === "") {
    throw new InvalidArgumentError(
      "if a signing CA key is provided, the signing CA cert must also be provided",
    );
  }
  if (wish.certPem === "" && forceRotate === rootCa.lastForcedRotation) return rootCa;
  const before = signingRoot(rootCa);
  const root =
    wish.certPem === "" ? await createRootCertificate(parts) : await givenRoot(rootCa, wish, parts);
  if (root.certPem === before.certPem)
    return withSigningKey({ ...rootCa, lastForcedRotation: forceRotate }, root.keyPem);
  if (publicKeyHash(root.certPem) === publicKeyHash(before.certPem))
    throw new InvalidArgumentError("Cannot update to a cert with an identical key");
  const crossSignedPem = root.certPem === rootCa.caCertPem ? "" : await crossSigned(rootCa, root, parts);
  return {
    ...rootCa,
    lastForcedRotation: forceRotate,
    rotation: { caCertPem: root.certPem, caKeyPem: root.keyPem, crossSignedPem, startedAtMs: parts.nowMs },
  };
}

function withSigningKey(rootCa: RootCa, keyPem: string): RootCa {
  const { rotation } = rootCa;
  return rotation === undefined
    ? { ...rootCa, caKeyPem: keyPem }
    : { ...rootCa, rotation: { ...rotation, caKeyPem: keyPem } };
}

/** The root a user gives, with its key: his, or the one that is here already, or none: it is outside. */
async function givenRoot(
  rootCa: RootCa,
  wish: RootWish,
  { externalCas, external, nowMs }: RotationParts,
): Promise<RootKeyPair> {
  const parts = checkedRoot(wish.certPem, nowMs);
  if (wish.keyPem !== "") return { certPem: parts.pem, keyPem: checkedKey(wish.keyPem, parts) };
  const known = [signingRoot(rootCa), { certPem: rootCa.caCertPem, keyPem: rootCa.caKeyPem }];
  const same = known.find(({ certPem }) => certificateParts(certPem).pem === parts.pem);
  if (same !== undefined && same.keyPem !== "") return same;
  const cas = externalCasOf(externalCas, parts.pem, rootCa.caCertPem);
  try {
    await external.reach(cas, trustBundle(rootCa));
  } catch (error) {
    throw new InvalidArgumentError(
      "there must be at least one valid, reachable external CA corresponding to the desired CA certificate, " +
        `or its key must be given: ${messageOf(error)}`,
      { cause: error },
    );
  }
  return { certPem: parts.pem, keyPem: "" };
}

/** @throws {InvalidArgumentError} */
export function checkedRoot(pem: string, nowMs: number): CertificateParts {
  const count = splitCertificates(pem).length;
  if (count !== 1) {
    throw new InvalidArgumentError(
      count === 0
        ? "could not parse the desired CA certificate"
        : "the desired CA certificate cannot contain multiple certificates",
    );
  }
  const parts = certificateParts(pem);
  if (!parts.isCa || !parts.isSelfSigned)
    throw new InvalidArgumentError("the desired CA certificate must be a self-signed certificate of a CA");
  if (nowMs < parts.notBeforeMs)
    throw new InvalidArgumentError("the desired CA certificate is not valid yet");
  if (parts.notAfterMs - nowMs < ROOT_LIFE_MIN_MS)
    throw new InvalidArgumentError("CA certificate expires too soon");
  return parts;
}

/** PKCS #8. @throws {InvalidArgumentError}; the parser's words are left out: they may quote the key. */
export function checkedKey(pem: string, root: CertificateParts): string {
  let key: ReturnType<typeof createPrivateKey>;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new InvalidArgumentError("could not parse the desired CA key: unencrypted PEM is needed");
  }
  const isUsable = key.asymmetricKeyType === "ec" || key.asymmetricKeyType === "rsa";
  if (!isUsable)
    throw new InvalidArgumentError(`a CA key must be ECDSA or RSA, got ${key.asymmetricKeyType}`);
  if (!createPublicKey(key).equals(root.publicKey))
    throw new InvalidArgumentError("the desired CA key does not match the desired CA certificate");
  return key.export({ format: "pem", type: "pkcs8" }).toString();
}

async function crossSigned(
  rootCa: RootCa,
  root: RootKeyPair,
  { externalCas, external, nowMs, random }: RotationParts,
): Promise<string> {
  const { caCertPem, caKeyPem } = rootCa;
  if (caKeyPem !== "")
    return crossSign({ rootPem: root.certPem, by: { certPem: caCertPem, keyPem: caKeyPem }, nowMs, random });
  if (root.keyPem === "") {
    throw new InvalidArgumentError(
      "rotating from one external CA to a different external CA is not supported",
    );
  }
  const cas = externalCasOf(externalCas, caCertPem, caCertPem);
  try {
    return await external.crossSign(cas, { trustPem: trustBundle(rootCa), rootPem: caCertPem, root });
  } catch (error) {
    throw new InvalidArgumentError(
      "there must be at least one valid, reachable external CA corresponding to the current CA certificate: " +
        messageOf(error),
      { cause: error },
    );
  }
}

/** What a node must say of itself to count as changed over. */
export interface RotationGoal {
  readonly issuer: string;
  readonly trust: string;
}

export function rotationGoal(rootCa: RootCa): RotationGoal {
  return { issuer: publicKeyHash(signingRoot(rootCa).certPem), trust: textHash(trustBundle(rootCa)) };
}

export function hasChangedOver({ description }: Node, goal: RotationGoal): boolean {
  return (
    description?.tlsIssuerPublicKeySha256 === goal.issuer && description.tlsTrustRootSha256 === goal.trust
  );
}

/** The coming root is the root; join tokens name it, with new secrets. */
export function withRotationDone(rootCa: RootCa, random: Random): RootCa {
  const { rotation } = rootCa;
  if (rotation === undefined) return rootCa;
  const { rotation: _, ...rest } = rootCa;
  if (rotation.caCertPem === rootCa.caCertPem)
    return { ...rest, caKeyPem: rotation.caKeyPem, rotation: undefined };
  const certDigest = certificateDigest(rotation.caCertPem);
  return {
    ...rest,
    rotation: undefined,
    caCertPem: rotation.caCertPem,
    caKeyPem: rotation.caKeyPem,
    certDigest,
    workerToken: createJoinToken(certDigest, random),
    managerToken: createJoinToken(certDigest, random),
  };
}
