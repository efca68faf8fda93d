/**
 * One host of a lab: its daemon and what can happen to it. Edge: to processes and iproute2.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, existsSync, readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { V8_FLAGS } from "../../../node/v8-flags.js";
import { patient } from "../patience.js";
import { attempt, type CommandOptions, type CommandResult, run } from "./shell.js";
import { labProcesses } from "./sweep.js";

const HERE = dirname(fileURLToPath(import.meta.url));
/** The compiled tree, also when the test itself runs from source. */
const DIST = HERE.includes("/dist/") ? resolve(HERE, "../../..") : resolve(HERE, "../../../dist");

export interface LabHostOptions {
  readonly name: string;
  readonly netns: string;
  readonly address: string;
  readonly dir: string;
  readonly cgroupParent: string;
  /** The host's end at the switch. */
  readonly plug: { readonly netns: string; readonly link: string };
  readonly daemonArgs: readonly string[];
  readonly echoLogs: boolean;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** The body as JSON; undefined when it is none. */
  readonly json: unknown;
}

export class LabHost {
  readonly name: string;
  readonly netns: string;
  readonly address: string;
  readonly dir: string;
  readonly cgroupParent: string;
  readonly #options: LabHostOptions;
  #daemon: ChildProcess | undefined;

  constructor(options: LabHostOptions) {
    this.#options = options;
    this.name = options.name;
    this.netns = options.netns;
    this.address = options.address;
    this.dir = options.dir;
    this.cgroupParent = options.cgroupParent;
  }

  get socketPath(): string {
    return join(this.dir, "run", "skein.sock");
  }

  get dataDir(): string {
    return join(this.dir, "data");
  }

  get runDir(): string {
    return join(this.dir, "run");
  }

  get logPath(): string {
    return join(this.dir, "skeind.log");
  }

  get daemonPid(): number | undefined {
    return this.#daemon?.pid;
  }

  /**
   * Starts skeind and waits until its API answers.
   * @throws {Error} with the end of its log when it does not.
   */
  async start(extraArgs: readonly string[] = []): Promise<void> {
    const log = createWriteStream(this.logPath, { flags: "a" });
    const daemon = spawn(
      "nsenter",
      [
        `--net=/run/netns/${this.netns}`,
        process.execPath,
        ...V8_FLAGS,
        join(DIST, "node", "skeind.js"),
        "--data-dir",
        this.dataDir,
        "--run-dir",
        this.runDir,
        "--hostname",
        this.name,
        "--cgroup-parent",
        this.cgroupParent,
        ...this.#options.daemonArgs,
        ...extraArgs,
      ],
      { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NODE_OPTIONS: "" } },
    );
    this.#daemon = daemon;
    for (const stream of [daemon.stdout, daemon.stderr]) {
      stream.pipe(log, { end: false });
      if (this.#options.echoLogs) stream.pipe(process.stderr, { end: false });
    }
    let exited = false;
    daemon.once("exit", () => {
      exited = true;
      if (this.#daemon === daemon) this.#daemon = undefined;
      log.end();
    });
    const deadline = Date.now() + patient(20_000);
    while (Date.now() < deadline && !exited) {
      if (existsSync(this.socketPath) && (await this.#answers())) return;
      await new Promise((wake) => setTimeout(wake, 25));
    }
    throw new Error(`skeind on ${this.name} did not answer; its log ends with:\n${this.logTail()}`);
  }

  logTail(lines = 30): string {
    return existsSync(this.logPath)
      ? readFileSync(this.logPath, "utf8").trimEnd().split("\n").slice(-lines).join("\n")
      : "(no log)";
  }

  /** SIGTERM, then SIGKILL when it does not end. Containers go on, as after any stop of the daemon. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM", 15_000);
  }

  /** kill -9 of skeind and of its manager; containers go on. */
  async killDaemon(): Promise<void> {
    const children = this.managerPids();
    await this.#end("SIGKILL", 5_000);
    for (const pid of children) killQuietly(pid);
  }

  /** kill -9 of the manager process alone. */
  killManager(): void {
    for (const pid of this.managerPids()) killQuietly(pid);
  }

  /**
   * Everything on this host ends at once, as when its power fails; the link stays up,
   * as with a host whose processes died.
   */
  async killHost(): Promise<void> {
    const daemon = this.#daemon;
    const gone =
      daemon === undefined ? undefined : new Promise<void>((done) => daemon.once("exit", () => done()));
    for (let round = 0; round < 10; round++) {
      const pids = labProcesses({ dir: this.dir, prefix: this.cgroupParent });
      if (pids.length === 0) break;
      for (const pid of pids) killQuietly(pid);
      await new Promise((wake) => setTimeout(wake, 20));
    }
    await gone;
  }

  managerPids(): number[] {
    const daemon = this.#daemon?.pid;
    if (daemon === undefined) return [];
    const path = `/proc/${daemon}/task/${daemon}/children`;
    return existsSync(path)
      ? readFileSync(path, "utf8")
          .split(" ")
          .filter(Boolean)
          .map(Number)
          .filter((pid) => commandLine(pid).includes("manager-main"))
      : [];
  }

  /** Takes the host off the network; its processes go on. */
  async partition(): Promise<void> {
    const { netns, link } = this.#options.plug;
    await run("ip", ["-n", netns, "link", "set", link, "down"]);
  }

  async heal(): Promise<void> {
    const { netns, link } = this.#options.plug;
    await run("ip", ["-n", netns, "link", "set", link, "up"]);
  }

  /** The stock docker CLI against this host. */
  docker(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return attempt("docker", args, {
      ...options,
      env: { ...process.env, DOCKER_HOST: `unix://${this.socketPath}`, ...options.env },
    });
  }

  /** Our own CLI against this host. */
  skein(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return attempt(process.execPath, [join(DIST, "cli", "main.js"), ...args], {
      ...options,
      env: { ...process.env, SKEIN_HOST: `unix://${this.socketPath}`, ...options.env },
    });
  }

  /** A command inside the host's network namespace. */
  attempt(command: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return attempt("nsenter", [`--net=/run/netns/${this.netns}`, command, ...args], options);
  }

  /** One HTTP request to the daemon's socket. Body: JSON unless bytes. */
  api(
    method: string,
    path: string,
    body?: unknown,
    options: { timeoutMs?: number; headers?: Record<string, string> } = {},
  ): Promise<HttpAnswer> {
    return new Promise((done, failed) => {
      const payload =
        body === undefined ? undefined : body instanceof Uint8Array ? body : JSON.stringify(body);
      const type = body instanceof Uint8Array ? "application/x-tar" : "application/json";
      const request = httpRequest(
        {
          socketPath: this.socketPath,
          method,
          path,
          headers: { ...(payload === undefined ? {} : { "content-type": type }), ...options.headers },
          timeout: patient(options.timeoutMs ?? 30_000),
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", failed);
          response.on("end", () => {
            const text = Buffer.concat(chunks).toString("utf8");
            let json: unknown;
            try {
              json = text === "" ? undefined : JSON.parse(text);
            } catch {
              json = undefined; // plain text or JSON lines: the caller reads `body`
            }
            done({ status: response.statusCode ?? 0, body: text, json });
          });
        },
      );
      request.on("timeout", () => request.destroy(new Error(`${method} ${path} timed out`)));
      request.on("error", failed);
      request.end(payload);
    });
  }

  async #answers(): Promise<boolean> {
    try {
      return (await this.api("GET", "/_ping", undefined, { timeoutMs: 1_000 })).status === 200;
    } catch {
      return false; // not listening yet: the caller asks again until its deadline
    }
  }

  async #end(signal: NodeJS.Signals, timeoutMs: number): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === undefined) return;
    const exited = new Promise<void>((done) => daemon.once("exit", () => done()));
    daemon.kill(signal);
    const timer = setTimeout(() => daemon.kill("SIGKILL"), patient(timeoutMs));
    await exited;
    clearTimeout(timer);
  }
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return ""; // ended meanwhile
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Ended meanwhile.
  }
}
