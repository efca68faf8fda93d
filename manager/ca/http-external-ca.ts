/**
 * Calls external CAs by CFSSL's JSON over HTTPS, one after the other until one signs.
 * Edge: to node:https. Whom it calls must show a certificate of the cluster's root, of the root named with it
 * or of one that the machine trusts; it shows the manager's own. Bounds: five seconds and 256 KiB an answer.
 */
import { messageOf, UnavailableError } from "../../base/errors/errors.js";
import { createCsr } from "../../base/pki/x509-csr.js";
import { certificateParts, splitCertificates } from "../../base/pki/x509-parts.js";
import type { ExternalCa } from "../../proto/gen/skein/v1/types.js";
import {
  certificateInAnswer,
  checkedNodeCertificate,
  type ExternalSigner,
  nodeSignRequest,
  reaches,
} from "./external-ca.js";

const TIMEOUT_MS = 5_000;
const ANSWER_BYTES_MAX = 256 * 1024;

/** The manager's own certificate, as it is now. */
export type ClientIdentity = () => { readonly certificatePem: string; readonly keyPem: string };

export function createHttpExternalSigner(identity: ClientIdentity): ExternalSigner {
  /** The first success; else the last failure. */
  const first = async <T>(
    cas: readonly ExternalCa[],
    attempt: (ca: ExternalCa) => Promise<T>,
  ): Promise<T> => {
    let last: unknown = new UnavailableError("no external CA is known for this root");
    for (const ca of cas) {
      try {
        return await attempt(ca);
      } catch (error) {
        last = error;
      }
    }
    throw last instanceof UnavailableError ? last : new UnavailableError(messageOf(last), { cause: last });
  };
  const ask = <T>(
    cas: readonly ExternalCa[],
    trustPem: string,
    body: unknown,
    use: (certificate: string) => T,
  ): Promise<T> =>
    first(cas, async (ca) => use(certificateInAnswer(await post(ca, trustPem, body, identity))));
  return {
    reach: (cas, trustPem) =>
      first(cas, async (ca) => {
        await exchange(ca, trustPem, undefined, identity);
      }),
    sign: (cas, request) =>
      ask(cas, request.trustPem, nodeSignRequest(request), (pem) => checkedNodeCertificate(pem, request)),
    crossSign: async (cas, { trustPem, rootPem, root }) => {
      const parts = certificateParts(root.certPem);
      const body = {
        hosts: [],
        certificate_request: createCsr({ keyPem: root.keyPem, subject: parts.subject }),
        profile: "CA",
        // not taken from a request: a CA, with no CA below it
        extensions: [{ id: "2.5.29.19", critical: true, value: "30060101ff020100" }],
      };
      return ask(cas, trustPem, body, (pem) => {
        const [cross = "", ...rest] = splitCertificates(pem);
        const made = certificateParts(cross);
        if (!made.isCa || Buffer.compare(made.publicKeyInfo, parts.publicKeyInfo) !== 0)
          throw new UnavailableError("the external CA did not sign the new root's key as a CA");
        if (Buffer.compare(made.subject, parts.subject) !== 0)
          throw new UnavailableError("the external CA changed the new root's name");
        if (!reaches(cross, rest, rootPem))
          throw new UnavailableError("the external CA's certificate was not signed for the current root");
        return [cross, ...rest].join("");
      });
    },
  };
}

async function post(
  ca: ExternalCa,
  trustPem: string,
  body: unknown,
  identity: ClientIdentity,
): Promise<unknown> {
  const { status, text } = await exchange(ca, trustPem, Buffer.from(JSON.stringify(body)), identity);
  if (status !== 200)
    throw new UnavailableError(
      `the external CA at ${ca.url} answers status ${status}: ${text.slice(0, 256)}`,
    );
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new UnavailableError(`the external CA at ${ca.url} did not answer JSON`, { cause: error });
  }
}

/** @param payload undefined: only asks whether it is there. */
async function exchange(
  ca: ExternalCa,
  trustPem: string,
  payload: Buffer | undefined,
  identity: ClientIdentity,
): Promise<{ readonly status: number; readonly text: string }> {
  const [{ request }, { rootCertificates }] = await Promise.all([import("node:https"), import("node:tls")]);
  const { certificatePem, keyPem } = identity();
  const roots = [trustPem, Buffer.from(ca.caCert).toString(), ...rootCertificates];
  const options = {
    method: payload === undefined ? "GET" : "POST",
    headers:
      payload === undefined ? {} : { "content-type": "application/json", "content-length": payload.length },
    ca: roots.filter((pem) => pem.trim() !== ""),
    cert: certificatePem,
    key: keyPem,
    agent: false,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  return await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const call = request(ca.url, options, (answer) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      answer.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX)
          answer.destroy(new Error(`an answer may have ${ANSWER_BYTES_MAX} bytes`));
        else chunks.push(chunk);
      });
      answer.on("error", reject);
      answer.on("end", () =>
        resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
      );
    });
    call.on("error", reject);
    call.end(payload);
  }).catch((error: unknown) => {
    const why = messageOf(error);
    throw new UnavailableError(`the external CA at ${ca.url} does not answer: ${why}`, { cause: error });
  });
}
