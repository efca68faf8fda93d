/**
 * HTTP over ssh: each connection is `ssh HOST skein system dial-stdio`, and is used again for later requests.
 * Edge: to processes. ssh itself asks for passwords and unknown host keys, on the terminal.
 * Bounds: 4 connections at a time; the first 4 KiB of what ssh complains about are told.
 * Invariant: nothing of the address reaches ssh as an option, or the shell over there as more than a path.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { Agent, type ClientRequestArgs } from "node:http";
import { Duplex } from "node:stream";
import { UnavailableError } from "../../base/errors/errors.js";
import type { Address, Endpoint } from "./endpoint.js";

type SshAddress = Extract<Address, { kind: "ssh" }>;

const CONNECTIONS_MAX = 4;
const CONNECT_TIMEOUT_S = 15;
const COMPLAINT_BYTES_MAX = 4096;
/** Of a shell: the command was not found. */
const EXIT_NOT_FOUND = 127;
/** Of ssh: the connection failed. */
const EXIT_SSH = 255;

/** @param asks false: what it would have to ask for is a failure. */
export function sshArguments({ host, user, port, socketPath }: SshAddress, asks = true): string[] {
  return [
    "-T",
    "-o",
    `ConnectTimeout=${CONNECT_TIMEOUT_S}`,
    ...(asks ? [] : ["-o", "BatchMode=yes"]),
    ...(user === undefined ? [] : ["-l", user]),
    ...(port === undefined ? [] : ["-p", String(port)]),
    "--",
    host,
    ...["skein", ...(socketPath === undefined ? [] : ["--host", `unix://${socketPath}`])],
    ...["system", "dial-stdio"],
  ];
}

/** One ssh as a socket. */
class SshSocket extends Duplex {
  readonly #child: ChildProcess;
  readonly #endpoint: Endpoint;
  #complaint = "";
  #heard = false;

  constructor(address: SshAddress, endpoint: Endpoint, asks: boolean) {
    super({ allowHalfOpen: true });
    this.#endpoint = endpoint;
    this.#child = spawn("ssh", sshArguments(address, asks), { stdio: ["pipe", "pipe", "pipe"] });
    const { stdin, stdout, stderr } = this.#child;
    stdout?.on("data", (chunk: Buffer) => {
      this.#heard = true;
      if (!this.push(chunk)) stdout.pause();
    });
    stderr?.on("data", (chunk: Buffer) => {
      this.#complaint = (this.#complaint + chunk.toString("utf8")).slice(0, COMPLAINT_BYTES_MAX);
    });
    // A broken pipe: the exit that comes with it tells why.
    stdin?.on("error", () => undefined);
    this.#child.once("error", (error) => this.destroy(this.#trouble(error.message)));
    this.#child.once("close", (code) => {
      if (code !== 0 && !this.#heard) this.destroy(this.#trouble(reasonOf(code), code ?? undefined));
      else this.push(null);
    });
  }

  #trouble(reason: string, code?: number): UnavailableError {
    const said = this.#complaint.trim();
    const what = said === "" ? reason : `${reason}: ${said}`;
    const advice = adviceOf(code, this.#endpoint.host);
    const { host, source } = this.#endpoint;
    return new UnavailableError(`cannot reach skeind at ${host} (named by ${source}): ${what}${advice}`);
  }

  override _read(): void {
    this.#child.stdout?.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    // what could not be written is told when the process closes
    this.#child.stdin?.write(chunk, () => done());
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#child.stdin?.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#child.stdin?.destroy();
    this.#child.stdout?.destroy();
    this.#child.kill();
    done(error);
  }

  // What node:http expects of a socket.
  setKeepAlive(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  ref(): this {
    this.#child.ref();
    return this;
  }

  /** An idle connection does not keep the process. */
  unref(): this {
    this.#child.unref();
    return this;
  }
}

const reasonOf = (code: number | null): string =>
  code === EXIT_SSH
    ? "ssh could not connect"
    : code === EXIT_NOT_FOUND
      ? "there is no skein command on that host"
      : `ssh ended with ${code ?? "a signal"}`;

function adviceOf(code: number | undefined, host: string): string {
  const name = /^ssh:\/\/([^/]+)/.exec(host)?.[1]?.replace(/:(\d+)$/, " -p $1") ?? "";
  if (code === EXIT_SSH) return `. Try 'ssh ${name} true' by hand`;
  if (code === EXIT_NOT_FOUND) return ". Install Skein there, with skein in the PATH of that user";
  return "";
}

export class SshAgent extends Agent {
  readonly #address: SshAddress;
  readonly #endpoint: Endpoint;
  readonly #asks: boolean;
  readonly #sockets = new Set<SshSocket>();

  constructor(address: SshAddress, endpoint: Endpoint, asks: boolean) {
    super({ keepAlive: true, maxSockets: CONNECTIONS_MAX, maxFreeSockets: CONNECTIONS_MAX });
    this.#address = address;
    this.#endpoint = endpoint;
    this.#asks = asks;
  }

  override createConnection(_options: ClientRequestArgs): Duplex {
    const socket = new SshSocket(this.#address, this.#endpoint, this.#asks);
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }

  override destroy(): void {
    super.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }
}
