/**
 * TLSInfo: which root a cluster or a node trusts, and which one has signed. Pure but for reading PEM.
 * Nodes tell hashes; the certificates are the cluster's. While the root is being rotated, the cluster shows
 * the coming one, as the goal, and a node the roots that it trusts.
 */
import { certificateParts, publicKeyHash, splitCertificates, textHash } from "../../base/pki/x509-parts.js";
import type { RootCa } from "../../proto/gen/skein/v1/objects.js";
import type { NodeDescription } from "../../proto/gen/skein/v1/types.js";
import { type JsonObject, omitEmpty } from "./shape.js";

interface KnownRoot {
  readonly keyHash: string;
  readonly issuer: JsonObject;
}

/** The roots of a cluster, read once for many nodes. */
export class ClusterRoots {
  /** PEM of each trust by its hash. */
  readonly #trusts: ReadonlyMap<string, string>;
  readonly #roots: readonly KnownRoot[];
  readonly #goal: string;

  constructor(rootCa: RootCa | undefined) {
    const current = rootCa?.caCertPem ?? "";
    this.#goal = rootCa?.rotation?.caCertPem ?? current;
    const isRotated = this.#goal !== current;
    const both = `${current.trimEnd()}\n${this.#goal}`;
    const trusts = isRotated ? [current, this.#goal, both] : [current];
    this.#trusts = new Map(trusts.map((pem) => [textHash(pem), pem]));
    this.#roots = (isRotated ? [this.#goal, current] : [current]).flatMap(splitCertificates).map(knownRoot);
  }

  ofCluster(): JsonObject {
    return omitEmpty({ TrustRoot: this.#goal, ...this.#roots[0]?.issuer });
  }

  ofNode(description: NodeDescription | undefined): JsonObject {
    const issuer = this.#roots.find(
      ({ keyHash }) => keyHash === description?.tlsIssuerPublicKeySha256,
    )?.issuer;
    return omitEmpty({ TrustRoot: this.#trusts.get(description?.tlsTrustRootSha256 ?? ""), ...issuer });
  }
}

function knownRoot(pem: string): KnownRoot {
  const { subject, publicKeyInfo } = certificateParts(pem);
  return {
    keyHash: publicKeyHash(pem),
    issuer: {
      CertIssuerSubject: Buffer.from(subject).toString("base64"),
      CertIssuerPublicKey: Buffer.from(publicKeyInfo).toString("base64"),
    },
  };
}
