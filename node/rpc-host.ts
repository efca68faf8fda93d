/**
 * Hosts gRPC services twice: under mutual TLS for the cluster, and on a unix socket for the daemon beside it.
 * Edge: to node:tls, node:net and @grpc/grpc-js. The TLS side asks for a client certificate but does not
 * insist, because joining nodes have none; who may call what is decided per RPC by `guard`. Certificates can
 * be exchanged while connections are open.
 */
import type { KeyObject, X509Certificate } from "node:crypto";
import { chmodSync, rmSync } from "node:fs";
import { setTimeout as setTimer } from "node:timers/promises";
import { createServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { InternalError, messageOf } from "../base/errors/errors.js";
import type { Logger } from "../base/log/logger.js";
import { nextTurn } from "../base/loop/process-turn.js";
import { parseCertificate, splitCertificates } from "../base/pki/x509-parts.js";
import { RAFT_SERVER_OPTIONS } from "../raft/transport/grpc-options.js";
import { answerInOneWrite } from "./answer-in-one-write.js";

export interface TlsIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly rootCaPem: string;
}

export interface HostedService {
  readonly definition: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
}

/**
 * Wraps one handler: role check, leader forwarding. `local` marks the unix socket,
 * whose callers are root on this host.
 */
export type Guard = (
  path: string,
  handler: UntypedHandleCall,
  options: { local: boolean; streaming: boolean },
) => UntypedHandleCall;

/** How long calls that are being answered are waited for when the host closes. */
const DRAIN_MS = 1_000;
/** For connections of a root CA that is trusted no more: an exec or a followed log may use one. */
const DROPPED_ROOT_GRACE_MS = 600_000;
/** Whose certificates are looked at without a pause: about two milliseconds. */
const SOCKETS_PER_TURN = 8;
/** Certificates of a chain that are looked at. */
const CHAIN_MAX = 8;
/** For answers that were given to leave the process. */
const FLUSH_MS = 20;

/** Unary calls that were not answered yet. */
class CallsInProgress {
  #count = 0;
  #onIdle: (() => void) | undefined;

  /** Wraps a unary handler; it answers exactly once. */
  counted(handler: UntypedHandleCall): UntypedHandleCall {
    const unary = handler as (call: unknown, callback: (...answer: unknown[]) => void) => void;
    const counted = (call: unknown, callback: (...answer: unknown[]) => void): void => {
      this.#count += 1;
      unary(call, (...answer) => {
        callback(...answer);
        this.#count -= 1;
        if (this.#count === 0) this.#onIdle?.();
      });
    };
    return counted as UntypedHandleCall; // grpc-js types handlers by shape
  }

  /** Resolves when none is left, at the latest after the bound. */
  async idle(): Promise<void> {
    if (this.#count === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, DRAIN_MS);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    await setTimer(FLUSH_MS);
  }
}

const SERVER_OPTIONS = { ...RAFT_SERVER_OPTIONS, "grpc.http2.min_ping_interval_without_data_ms": 1_000 };

function guardedServer(
  services: readonly HostedService[],
  guard: Guard,
  { local, calls }: { local: boolean; calls: CallsInProgress },
): Server {
  const server = new Server({ ...SERVER_OPTIONS, interceptors: [answerInOneWrite] });
  for (const { definition, handlers } of services) {
    const guarded: Record<string, UntypedHandleCall> = {};
    for (const [name, method] of Object.entries(definition)) {
      const handler = handlers[name];
      if (handler === undefined) throw new InternalError(`no handler for ${method.path}`);
      const streaming = method.requestStream || method.responseStream;
      const guardedCall = guard(method.path, handler, { local, streaming });
      guarded[name] = streaming ? guardedCall : calls.counted(guardedCall);
    }
    server.addService(definition, guarded);
  }
  return server;
}

export interface RpcHostOptions {
  readonly services: readonly HostedService[];
  readonly guard: Guard;
  readonly identity: TlsIdentity;
  readonly listen: { readonly host: string; readonly port: number };
  /** Path of the unix socket; made with mode 0600. */
  readonly socketPath: string;
  readonly log: Logger;
  /**
   * Milliseconds that connections live on when the root CA that alone vouches for them is trusted no more.
   * @default 600_000
   */
  readonly droppedRootGraceMs?: number;
}

export class RpcHost {
  readonly #tls: TlsServer;
  readonly #remote: Server;
  readonly #local: Server;
  readonly #sockets = new Set<TLSSocket>();
  readonly #calls: CallsInProgress;
  readonly #log: Logger;
  readonly #graceMs: number;
  #roots: readonly string[];
  #dropping: NodeJS.Timeout | undefined;
  readonly port: number;

  private constructor(parts: {
    tls: TlsServer;
    remote: Server;
    local: Server;
    sockets: Set<TLSSocket>;
    calls: CallsInProgress;
    log: Logger;
    graceMs: number;
    roots: readonly string[];
    port: number;
  }) {
    this.#tls = parts.tls;
    this.#remote = parts.remote;
    this.#local = parts.local;
    this.#sockets = parts.sockets;
    this.#calls = parts.calls;
    this.#log = parts.log;
    this.#graceMs = parts.graceMs;
    this.#roots = parts.roots;
    this.port = parts.port;
  }

  /** @throws {InternalError} with the address when the port is taken. */
  static async open(options: RpcHostOptions): Promise<RpcHost> {
    const calls = new CallsInProgress();
    const remote = guardedServer(options.services, options.guard, { local: false, calls });
    const local = guardedServer(options.services, options.guard, { local: true, calls });
    const injector = remote.createConnectionInjector(ServerCredentials.createInsecure());
    const sockets = new Set<TLSSocket>();
    const tls = createServer({
      ...contextOf(options.identity),
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
    });
    tls.on("secureConnection", (socket) => {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("close", () => sockets.delete(socket));
      socket.on("error", (error) =>
        options.log.debug("rpc connection failed", { peer: socket.remoteAddress, error: error.message }),
      );
      injector.injectConnection(socket);
    });
    tls.on("tlsClientError", (error, socket) =>
      options.log.info("tls handshake refused", { peer: socket.remoteAddress, error: error.message }),
    );
    const { host, port } = options.listen;
    await new Promise<void>((resolve, reject) => {
      tls.once("error", (error) =>
        reject(new InternalError(`listening on ${host}:${port} failed: ${error.message}`, { cause: error })),
      );
      tls.listen(port, host, resolve);
    });
    rmSync(options.socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      local.bindAsync(`unix:${options.socketPath}`, ServerCredentials.createInsecure(), (error) =>
        error
          ? reject(
              new InternalError(`listening on ${options.socketPath} failed: ${error.message}`, {
                cause: error,
              }),
            )
          : resolve(),
      );
    });
    chmodSync(options.socketPath, 0o600);
    const address = tls.address();
    return new RpcHost({
      tls,
      remote,
      local,
      sockets,
      calls,
      log: options.log,
      graceMs: options.droppedRootGraceMs ?? DROPPED_ROOT_GRACE_MS,
      roots: splitCertificates(options.identity.rootCaPem),
      port: typeof address === "object" && address ? address.port : port,
    });
  }

  /**
   * New connections use the new certificate; open ones live on. Where a root CA is trusted no more,
   * connections that only its signature vouches for end after a grace: their nodes have newer ones by then.
   */
  exchangeIdentity(identity: TlsIdentity): void {
    this.#tls.setSecureContext(contextOf(identity));
    const roots = splitCertificates(identity.rootCaPem);
    const isDropped = this.#roots.some((pem) => !roots.includes(pem));
    this.#roots = roots;
    if (!isDropped) return;
    clearTimeout(this.#dropping);
    this.#dropping = setTimeout(() => {
      this.#dropUntrusted().catch((error: unknown) =>
        this.#log.error("connections of a former root CA were not ended", { error: messageOf(error) }),
      );
    }, this.#graceMs);
  }

  /** In slices: every node has a connection, and each takes a signature or two to check. */
  async #dropUntrusted(): Promise<void> {
    const roots = this.#roots.map((pem) => parseCertificate(pem).publicKey);
    let checked = 0;
    for (const socket of [...this.#sockets]) {
      const chain = socket.destroyed ? undefined : socket.getPeerX509Certificate();
      if (chain !== undefined && !vouchedFor(chain, roots)) socket.destroy();
      checked += 1;
      if (checked % SOCKETS_PER_TURN === 0) await nextTurn();
    }
  }

  /** Takes no new connections, answers what is being answered (for a second at most), then ends the rest. */
  async close(): Promise<void> {
    clearTimeout(this.#dropping);
    const closed = new Promise<void>((resolve) => this.#tls.close(() => resolve()));
    await this.#calls.idle();
    this.#remote.forceShutdown();
    this.#local.forceShutdown();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** One of the certificates that a peer has shown is signed by a root's key. */
function vouchedFor(leaf: X509Certificate, keys: readonly KeyObject[]): boolean {
  let shown: X509Certificate | undefined = leaf;
  for (let depth = 0; shown !== undefined && depth < CHAIN_MAX; depth++) {
    const certificate: X509Certificate = shown;
    if (keys.some((key) => certificate.verify(key))) return true;
    shown = certificate.issuerCertificate;
  }
  return false;
}

function contextOf(identity: TlsIdentity): { cert: string; key: string; ca: string; minVersion: "TLSv1.2" } {
  return {
    cert: identity.certificatePem,
    key: identity.keyPem,
    ca: identity.rootCaPem,
    minVersion: "TLSv1.2",
  };
}
