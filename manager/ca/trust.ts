/**
 * Whom a cluster trusts and who signs for it: its root, and during a rotation the coming one as well.
 * Pure. Invariant: during a rotation every certificate that any node holds is good in the eyes of every other
 * node, whether that has heard of the rotation or not.
 */
import { publicKeyHash, splitCertificates } from "../../base/pki/x509-parts.js";
import type { RootCa } from "../../proto/gen/skein/v1/objects.js";
import type { ReadStore } from "../store/types.js";
import type { RootKeyPair } from "./x509-certificates.js";

/** What nodes trust, as PEM: the root, then the coming one where there is another. */
export function trustBundle({ caCertPem, rotation }: RootCa): string {
  if (rotation === undefined || rotation.caCertPem === caCertPem) return caCertPem;
  return `${caCertPem.trimEnd()}\n${rotation.caCertPem}`;
}

/** Where the cluster is going: the root of the rotation, else its own. `keyPem` "": an external CA has it. */
export function signingRoot({ caCertPem, caKeyPem, rotation }: RootCa): RootKeyPair {
  return rotation === undefined
    ? { certPem: caCertPem, keyPem: caKeyPem }
    : { certPem: rotation.caCertPem, keyPem: rotation.caKeyPem };
}

/** A node certificate with what others may need to see it is good. */
export function withChain({ rotation }: RootCa, certificatePem: string): string {
  const cross = rotation?.crossSignedPem ?? "";
  return cross === "" ? certificatePem : `${certificatePem.trimEnd()}\n${cross}`;
}

/** The certificate of these roots whose key has this hash; undefined: none. */
export function rootByKeyHash(rootCa: RootCa, hash: string): string | undefined {
  if (hash === "") return undefined;
  return splitCertificates(trustBundle(rootCa)).find((pem) => publicKeyHash(pem) === hash);
}

export interface Trust {
  readonly rootCaPem: string;
  /** Hex; "": not known yet. */
  readonly issuerPublicKeySha256: string;
}

/** What nodes are told, as the store has it at each call; reckoned once per change. */
export function trustView(store: ReadStore, beforeFirstPem: string): () => Trust {
  let known: RootCa | undefined;
  let trust: Trust = { rootCaPem: beforeFirstPem, issuerPublicKeySha256: "" };
  return () => {
    const rootCa = store.view((tx) => tx.list("cluster")[0])?.rootCa;
    if (rootCa === undefined || rootCa === known) return trust;
    known = rootCa;
    const { certPem } = signingRoot(rootCa);
    trust = {
      rootCaPem: trustBundle(rootCa),
      issuerPublicKeySha256: certPem === "" ? "" : publicKeyHash(certPem),
    };
    return trust;
  };
}
