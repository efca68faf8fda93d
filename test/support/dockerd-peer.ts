/**
 * Debian's dockerd with folders and a network namespace of its own, to compare with and to measure beside.
 * Edge: to processes and iproute2. `close` ends it and what it started; its containers are removed first.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { attempt, type CommandOptions, type CommandResult, run, runSync } from "./lab/shell.js";

const START_MS_MAX = 60_000;
const STOP_MS_MAX = 20_000;

export interface DockerdPeerOptions {
  /** Of its own: data, run files, socket and log. Removed by `close`. */
  readonly dir: string;
  /** Name of a network namespace. */
  readonly netns: string;
  /** Whether it is made here and removed by `close`. @default true */
  readonly ownNetns?: boolean;
  readonly daemonArgs?: readonly string[];
}

/** Why there is no peer on this machine, or undefined. */
export function dockerdMissing(): string | undefined {
  return runSync("dockerd", ["--version"]) ? undefined : "dockerd is not installed (Debian: docker.io)";
}

export class DockerdPeer {
  readonly #options: DockerdPeerOptions;
  readonly #daemon: ChildProcess;

  private constructor(options: DockerdPeerOptions, daemon: ChildProcess) {
    this.#options = options;
    this.#daemon = daemon;
  }

  static async open(options: DockerdPeerOptions): Promise<DockerdPeer> {
    const { dir, netns } = options;
    mkdirSync(join(dir, "data"), { recursive: true });
    if (options.ownNetns ?? true) {
      await run("ip", ["netns", "add", netns]);
      await run("ip", ["-n", netns, "link", "set", "lo", "up"]);
    }
    const log = openSync(join(dir, "dockerd.log"), "a");
    // nsenter and not `ip netns exec`: that one hides the cgroup mounts
    const daemon = spawn(
      "nsenter",
      [
        `--net=/run/netns/${netns}`,
        "dockerd",
        "--data-root",
        join(dir, "data"),
        "--exec-root",
        join(dir, "run"),
        "--pidfile",
        join(dir, "dockerd.pid"),
        "-H",
        `unix://${join(dir, "docker.sock")}`,
        ...(options.daemonArgs ?? []),
      ],
      { stdio: ["ignore", log, log] },
    );
    const peer = new DockerdPeer(options, daemon);
    const deadline = Date.now() + START_MS_MAX;
    while (Date.now() < deadline && daemon.exitCode === null) {
      if (existsSync(peer.socketPath) && (await peer.docker(["version"])).code === 0) return peer;
      await new Promise((wake) => setTimeout(wake, 100));
    }
    const end = readFileSync(join(dir, "dockerd.log"), "utf8").trimEnd().split("\n").slice(-10).join("\n");
    await peer.close();
    throw new Error(`dockerd did not answer; its log ends with:\n${end}`);
  }

  get socketPath(): string {
    return join(this.#options.dir, "docker.sock");
  }

  /** Of dockerd and of the containerd it started. */
  get pids(): readonly number[] {
    const pid = this.#daemon.pid;
    if (pid === undefined) return [];
    const path = `/proc/${pid}/task/${pid}/children`;
    const children = existsSync(path) ? readFileSync(path, "utf8").split(" ").filter(Boolean) : [];
    return [pid, ...children.map(Number)];
  }

  docker(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return attempt("docker", args, {
      ...options,
      env: { ...process.env, DOCKER_HOST: `unix://${this.socketPath}`, ...options.env },
    });
  }

  async close(): Promise<void> {
    const { dir, netns, ownNetns = true } = this.#options;
    if (this.#daemon.exitCode === null && existsSync(this.socketPath)) {
      const ids = (await this.docker(["ps", "-aq"])).stdout.split("\n").filter(Boolean);
      if (ids.length > 0) await this.docker(["rm", "-f", ...ids]);
    }
    if (this.#daemon.exitCode === null && this.#daemon.signalCode === null) {
      const gone = new Promise<void>((done) => this.#daemon.once("exit", () => done()));
      this.#daemon.kill("SIGTERM");
      const timer = setTimeout(() => this.#daemon.kill("SIGKILL"), STOP_MS_MAX);
      await gone;
      clearTimeout(timer);
    }
    if (ownNetns) runSync("ip", ["netns", "del", netns]);
    for (const mount of mountsBelow(dir)) runSync("umount", ["-l", mount]);
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Deepest first. */
function mountsBelow(dir: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${dir}/`))
    .sort((a, b) => b.length - a.length);
}
