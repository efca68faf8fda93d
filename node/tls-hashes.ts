/**
 * What a node tells of its certificate and of whom it trusts: hashes, by which managers see how far a
 * rotation of the root CA has come. Edge: to node:crypto, through base/pki.
 */
import { issuerKeyHash, textHash } from "../base/pki/x509-parts.js";
import type { TlsIdentity } from "./rpc-host.js";

export interface TlsHashes {
  /** Of the public key that signed the certificate; "": none of those at hand did. */
  readonly issuer: string;
  /** Of the text of the roots. */
  readonly trust: string;
}

/** An identity is read once: it is described with every heartbeat session. */
const known = new WeakMap<TlsIdentity, TlsHashes>();

export function tlsHashes(identity: TlsIdentity): TlsHashes {
  const found = known.get(identity);
  if (found !== undefined) return found;
  const hashes = {
    issuer: issuerKeyHash(identity.certificatePem, identity.rootCaPem),
    trust: textHash(identity.rootCaPem),
  };
  known.set(identity, hashes);
  return hashes;
}
