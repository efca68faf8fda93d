/**
 * Where a daemon is: the address, who named it, and what proves both sides. Pure.
 * Invariant: an address with an unknown scheme, or one that ssh could take for an option, is never kept.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

export const DEFAULT_HOST = "unix:///run/skein/skein.sock";

/** PEM; the key is a secret: it goes into the connection and nowhere else. */
export interface TlsMaterial {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** False: any certificate of the daemon is taken. */
  readonly verify: boolean;
}

export interface Endpoint {
  /** As it was given: unix://, tcp://, http://, https:// or ssh://. */
  readonly host: string;
  /** Who named it, for errors: "--host", "SKEIN_HOST", "the context prod". */
  readonly source: string;
  readonly tls?: TlsMaterial;
}

export type Address =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly secure: boolean }
  | {
      readonly kind: "ssh";
      readonly host: string;
      readonly user?: string;
      readonly port?: number;
      /** Socket of the daemon over there. @default the one its own skein finds */
      readonly socketPath?: string;
    };

const PORTS = { plain: 2375, secure: 2376 };

/**
 * @param withTls tcp:// means TLS, on port 2376 when none is given.
 * @throws {InvalidArgumentError} an address that is none of those.
 */
export function addressOf(host: string, withTls = false, source = "the host"): Address {
  const unix = /^unix:\/\/(.+)$/.exec(host)?.[1];
  if (unix !== undefined) return { kind: "unix", path: unix };
  if (host.startsWith("ssh://")) return sshAddress(host, source);
  const tcp = /^(tcp|http|https):\/\/(\[[0-9a-fA-F:.]+(?:%\w+)?\]|[^:/]+)(?::(\d{1,5}))?\/?$/.exec(host);
  if (tcp === null)
    throw new InvalidArgumentError(
      `${source} must be unix:///PATH, tcp://HOST:PORT or ssh://[USER@]HOST, got ${JSON.stringify(host)}`,
    );
  const secure = withTls || tcp[1] === "https";
  const port = tcp[3] === undefined ? (secure ? PORTS.secure : PORTS.plain) : Number(tcp[3]);
  return { kind: "tcp", host: (tcp[2] ?? "").replace(/^\[|\]$/g, ""), port, secure };
}

function sshAddress(text: string, source: string): Address {
  const match = /^ssh:\/\/(?:([\w.+-]+)@)?(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?(\/[\w./-]+)?\/?$/.exec(
    text,
  );
  const [, user, host = "", port, socketPath] = match ?? [];
  if (match === null || host.startsWith("-") || user?.startsWith("-") === true)
    throw new InvalidArgumentError(
      `${source} must be ssh://[USER@]HOST[:PORT][/PATH/OF/THE/SOCKET] without a password, ` +
        `got ${JSON.stringify(text.replace(/:[^:@/]*@/, ":…@"))}`,
    );
  return {
    kind: "ssh",
    host: host.replace(/^\[|\]$/g, ""),
    ...(user === undefined ? {} : { user }),
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(socketPath === undefined ? {} : { socketPath }),
  };
}

const ADVICE: Readonly<Record<string, string>> = {
  ENOENT: "is skeind running on this host? For another one: --host, or 'skein context use NAME'",
  EACCES: "you may not use that socket: try with sudo, or have an administrator let your group use it",
  ECONNREFUSED: "nothing listens there: is skeind running, with that address among its --host?",
  ECONNRESET: "the other side closed the connection: does it expect TLS (--tlsverify)?",
  ENOTFOUND: "the host's name is not known: check its spelling and your DNS",
  EAI_AGAIN: "the host's name could not be resolved: check your DNS",
  EHOSTUNREACH: "there is no way to that host: check its address and the network between",
  ENETUNREACH: "there is no way to that network: check the address",
  ETIMEDOUT: "no answer: check the address, and firewalls between",
  CERT_HAS_EXPIRED: "the daemon's certificate has expired: give it a new one",
  ERR_TLS_CERT_ALTNAME_INVALID: "the daemon's certificate is for other names: use one of those as the host",
  EPROTO: "it does not speak TLS there, or not as we do: is the port right, and does the daemon have --tls?",
};
const UNTRUSTED = /SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|UNKNOWN_CA|CERT_UNTRUSTED|CERT_SIGNATURE/;

/** @returns what to tell of a connection that failed; undefined for failures of another kind. */
export function connectionTrouble({ host, source }: Endpoint, code: string): string | undefined {
  const advice = adviceOf(code);
  if (advice === undefined) return undefined;
  return `cannot reach skeind at ${host} (${code}; named by ${source}): ${advice}`;
}

function adviceOf(code: string): string | undefined {
  if (UNTRUSTED.test(code))
    return "the daemon's certificate is not signed by a CA you trust: name its CA with --tlscacert";
  if (/BAD_CERTIFICATE|CERTIFICATE_REQUIRED/.test(code))
    return "the daemon wants a certificate of yours: name it with --tlscert and --tlskey";
  if (code.startsWith("ERR_SSL_")) return ADVICE["EPROTO"];
  if (code.startsWith("HPE_"))
    return "what answers there does not speak HTTP: does it expect TLS (--tlsverify)?";
  return ADVICE[code];
}
