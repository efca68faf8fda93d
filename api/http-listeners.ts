/**
 * Where the API listens: unix sockets and TCP, plain or by TLS with client certificates. Edge: to node:http,
 * node:https and node:fs. Invariant: a unix socket is never open to more than its owner and group.
 */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { createServer as createPlainServer, type Server } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import { FailedPreconditionError, InternalError, InvalidArgumentError } from "../base/errors/errors.js";

export type ApiListener =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly address: string; readonly port: number };

export interface ApiTls {
  /** Path of the CA that client certificates must come from; undefined: none is asked for. */
  readonly clientCa: string | undefined;
  readonly certificate: string;
  readonly key: string;
}

export interface ListenOptions {
  readonly listeners: readonly ApiListener[];
  /** On TCP; undefined: plain. */
  readonly tls?: ApiTls | undefined;
  /** Name or number of the group that may use the unix sockets; "" : root's. */
  readonly group: string;
}

/** As Go has it: X-Registry-Config of a build holds the tokens of all registries a person has logged in to. */
const HEADER_BYTES_MAX = 1024 * 1024;

/** As dockerd: a group that does not exist by that name is refused. */
function groupId(group: string): number | undefined {
  if (group === "") return undefined;
  if (/^\d+$/.test(group)) return Number(group);
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((text) => text.startsWith(`${group}:`));
  if (line === undefined) throw new InvalidArgumentError(`--group: no group ${group} on this host`);
  return Number(line.split(":")[2]);
}

async function secureServer(tls: ApiTls): Promise<Server> {
  const { createServer } = await import("node:https");
  const read = (what: string, path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new InvalidArgumentError(`--${what} ${path} cannot be read`, { cause: error });
    }
  };
  const verify = tls.clientCa !== undefined;
  return createServer({
    cert: read("tlscert", tls.certificate),
    key: read("tlskey", tls.key),
    ...(tls.clientCa === undefined ? {} : { ca: read("tlscacert", tls.clientCa) }),
    requestCert: verify,
    rejectUnauthorized: verify,
    maxHeaderSize: HEADER_BYTES_MAX,
    minVersion: "TLSv1.2",
  });
}

/** Whether a living daemon answers at the socket; what a killed one left does not. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/**
 * @param prepare gives each server its handlers.
 * @throws {FailedPreconditionError} an address is taken; {InvalidArgumentError} a certificate or group.
 * @returns the servers, all listening; when one cannot, none is left.
 */
export async function listenAll(
  options: ListenOptions,
  prepare: (server: Server) => void,
): Promise<readonly Server[]> {
  const group = groupId(options.group);
  const servers: Server[] = [];
  try {
    for (const listener of options.listeners) {
      const secure = listener.kind === "tcp" && options.tls !== undefined;
      const server =
        secure && options.tls
          ? await secureServer(options.tls)
          : createPlainServer({ maxHeaderSize: HEADER_BYTES_MAX });
      prepare(server);
      servers.push(server);
      if (listener.kind === "tcp")
        await listen(server, listener, `tcp://${listener.address}:${listener.port}`);
      else {
        if (existsSync(listener.path) && (await isServed(listener.path)))
          throw new FailedPreconditionError(`another daemon listens at ${listener.path}`);
        rmSync(listener.path, { force: true });
        mkdirSync(dirname(listener.path), { recursive: true });
        await listen(server, { path: listener.path }, listener.path);
        if (group !== undefined) chownSync(listener.path, 0, group);
        chmodSync(listener.path, 0o660);
      }
    }
    return servers;
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
}

/** Clients that may wait to be let in: a unix socket refuses more with EAGAIN. The kernel's somaxconn bounds it. */
const BACKLOG = 4_096;

async function listen(
  server: Server,
  where: { path: string } | { address: string; port: number },
  name: string,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(new InternalError(`listening on ${name} failed: ${error.message}`, { cause: error })),
    );
    if (!("path" in where)) {
      server.listen({ port: where.port, host: where.address, backlog: BACKLOG }, resolve);
      return;
    }
    // Made without rights for anybody: between bind and chmod nobody but root gets in. It is bound within the
    // call, and only so long may the mask be another: containers that start meanwhile make files, too.
    const before = process.umask(0o177);
    try {
      server.listen({ path: where.path, backlog: BACKLOG }, resolve);
    } finally {
      process.umask(before);
    }
  });
}
