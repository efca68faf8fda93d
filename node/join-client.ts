/**
 * How a node gets its certificate: the root CA by the token's digest, then a CSR.
 * Edge: to @grpc/grpc-js, node:tls and node:crypto. The first contact trusts nobody: the root certificate
 * fetched over an unverified connection must hash to the digest inside the join token, and only then is the
 * token shown, over a connection verified by that root.
 */
import { createHash, sign, X509Certificate } from "node:crypto";
import { type Channel, type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { InvalidArgumentError, SkeinError, UnavailableError } from "../base/errors/errors.js";
import { callUnary } from "../base/grpc/grpc-call.js";
import { createKeyAndCsr } from "../base/pki/x509-csr.js";
import { parseCertificate } from "../base/pki/x509-parts.js";
import { type IssueReply, type IssueRequest, NodeCaClient } from "../proto/gen/skein/v1/ca.js";
import { NodeAvailability } from "../proto/gen/skein/v1/types.js";
import { openControlClient } from "../proto/late-control-client.js";
import { CHANNEL_OPTIONS, ManagerChannels } from "./manager-channels.js";
import type { TlsIdentity } from "./rpc-host.js";

const JOIN_TIMEOUT_MS = 20_000;
const TOKEN = /^SWMTKN-1-([0-9a-z]{50})-([0-9a-z]{25})$/;

/** SHA-256 of the certificate in DER, as 50 characters of base 36: the middle part of a join token. */
export function rootDigest(rootCaPem: string): string {
  const hex = createHash("sha256").update(new X509Certificate(rootCaPem).raw).digest("hex");
  return BigInt(`0x${hex}`).toString(36).padStart(50, "0");
}

export interface IssuedIdentity {
  readonly identity: TlsIdentity;
  readonly reply: IssueReply;
}

async function fetchRootCa(address: string): Promise<string> {
  // Nothing secret is sent on this connection, and its answer is checked against the token. No root at all,
  // as undefined would be those of the Web: a megabyte, kept for good.
  const unverified = credentials.createSsl(Buffer.alloc(0), undefined, undefined, {
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  const client = new NodeCaClient(address, unverified, CHANNEL_OPTIONS);
  try {
    const reply = await callUnary(client.getRootCa.bind(client), {}, { timeoutMs: 5_000 });
    return reply.caCertPem;
  } finally {
    client.close();
  }
}

async function joinThrough(address: string, request: JoinRequest, digest: string): Promise<IssuedIdentity> {
  // Of what came only the certificate that is compared with the token: others behind it prove nothing.
  const rootCaPem = parseCertificate(await fetchRootCa(address)).toString();
  if (rootDigest(rootCaPem) !== digest) {
    throw new InvalidArgumentError(
      `remote CA does not match fingerprint: the join token is for another swarm than the one at ${address}`,
    );
  }
  const { keyPem, csrPem } = await createKeyAndCsr();
  const client = new NodeCaClient(address, credentials.createSsl(Buffer.from(rootCaPem)), CHANNEL_OPTIONS);
  try {
    const reply = await callUnary(
      client.issue.bind(client),
      {
        csrPem,
        token: request.token,
        availability: request.availability,
        address: request.advertiseIp,
        labels: request.labels,
        formerCertificatePem: "",
        formerKeySignature: new Uint8Array(),
      },
      { timeoutMs: JOIN_TIMEOUT_MS },
    );
    return { identity: { keyPem, certificatePem: reply.certificatePem, rootCaPem: reply.caCertPem }, reply };
  } finally {
    client.close();
  }
}

export interface JoinRequest {
  readonly token: string;
  readonly remoteAddresses: readonly string[];
  readonly availability: NodeAvailability;
  /** "" when unknown. */
  readonly advertiseIp: string;
  /** Of the new node. */
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * @throws {InvalidArgumentError} a malformed or foreign token; {UnauthenticatedError} a wrong secret;
 * {UnavailableError} nobody answers.
 */
export async function requestIdentity(request: JoinRequest): Promise<IssuedIdentity> {
  const digest = TOKEN.exec(request.token)?.[1];
  if (digest === undefined)
    throw new InvalidArgumentError("invalid join token: it must have the form SWMTKN-1-<digest>-<secret>");
  let last: SkeinError | undefined;
  for (const address of request.remoteAddresses) {
    try {
      return await joinThrough(address, request, digest);
    } catch (error) {
      if (
        !(error instanceof SkeinError) ||
        (error.code !== "unavailable" && error.code !== "deadline-exceeded")
      )
        throw error;
      last = error;
    }
  }
  throw new UnavailableError(
    `no manager answered at ${request.remoteAddresses.join(", ")}: ` +
      `${last?.message ?? "no address was given"}`,
    { cause: last },
  );
}

/** The key of before signs the new request: that counts where its certificate does not any more. */
function renewalRequest({ certificatePem, keyPem }: TlsIdentity, csrPem: string): IssueRequest {
  return {
    csrPem,
    token: "",
    availability: NodeAvailability.ACTIVE,
    address: "",
    labels: {},
    formerCertificatePem: certificatePem,
    formerKeySignature: new Uint8Array(sign("sha256", Buffer.from(csrPem), keyPem)),
  };
}

/** A manager to ask. */
interface CaAddress {
  readonly address: string;
  readonly credentials: ChannelCredentials;
  readonly channel: Channel;
}

/** Renews by showing the present certificate, or by its key; the role comes from the cluster's wish. */
async function renewIdentity(present: TlsIdentity, at: CaAddress): Promise<IssuedIdentity> {
  const { keyPem, csrPem } = await createKeyAndCsr();
  const client = new NodeCaClient(at.address, at.credentials, { channelOverride: at.channel });
  const reply = await callUnary(client.issue.bind(client), renewalRequest(present, csrPem), {
    timeoutMs: JOIN_TIMEOUT_MS,
  });
  return { identity: { keyPem, certificatePem: reply.certificatePem, rootCaPem: reply.caCertPem }, reply };
}

/**
 * What a new manager must lock its files under from the first write on; "": nothing. It shows its new
 * certificate.
 * @throws the last manager's error.
 */
export async function fetchUnlockKey(identity: TlsIdentity, managers: readonly string[]): Promise<string> {
  const channels = new ManagerChannels(identity);
  try {
    let last: unknown = new UnavailableError("no manager is known to ask for the unlock key");
    for (const address of managers) {
      const client = await openControlClient(address, channels.credentials(), {
        channelOverride: channels.to(address),
      });
      try {
        const ask = client.getUnlockKey.bind(client);
        return (await callUnary(ask, {}, { timeoutMs: JOIN_TIMEOUT_MS })).unlockKey;
      } catch (error) {
        last = error;
      }
    }
    throw last;
  } finally {
    channels.close();
  }
}

/**
 * Renews at the first manager that does it; the one beside this daemon comes last, and answers also when no
 * certificate is good any more.
 * @throws the first one's error.
 */
export async function renewAtAny(
  channels: ManagerChannels,
  managers: readonly string[],
  local?: CaAddress,
): Promise<IssuedIdentity> {
  const remote = managers.map((address) => ({
    address,
    credentials: channels.credentials(),
    channel: channels.to(address),
  }));
  let first: unknown;
  for (const at of local === undefined ? remote : [...remote, local]) {
    try {
      return await renewIdentity(channels.identity, at);
    } catch (error) {
      first ??= error;
    }
  }
  throw first ?? new UnavailableError("no manager is known to renew the certificate");
}
