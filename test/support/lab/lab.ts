/**
 * N hosts on one machine: a network namespace each on one bridge, own data and run directories, real daemons.
 * Edge: to iproute2 and processes. Each host can be killed, restarted, partitioned and healed. Whatever
 * happens to the test, `close` or the exit of the process sweeps all traces, and the next lab sweeps those of
 * a lab whose process was killed.
 *
 *   host 1: 10.99.0.1   host 2: 10.99.0.2 …   clients: 10.99.0.101 …   (in every lab: bridges differ)
 */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { LabHost } from "./lab-host.js";
import { attempt, type CommandResult, run } from "./shell.js";
import { remains, sweep } from "./sweep.js";

export interface LabOptions {
  readonly hosts: number;
  /** @default 1 */
  readonly clients?: number;
  /** Extra arguments of every skeind. */
  readonly daemonArgs?: readonly string[];
  /** Where the daemons' logs go besides their files. @default false */
  readonly echoLogs?: boolean;
}

const ROOT = "/tmp";

/** Runs commands as a machine outside the cluster. */
export class LabClient {
  readonly netns: string;
  readonly address: string;

  constructor(options: { netns: string; address: string }) {
    this.netns = options.netns;
    this.address = options.address;
  }

  attempt(
    command: string,
    args: readonly string[],
    options: { timeoutMs?: number } = {},
  ): Promise<CommandResult> {
    return attempt("nsenter", [`--net=/run/netns/${this.netns}`, command, ...args], options);
  }
}

export class Lab {
  readonly dir: string;
  readonly prefix: string;
  readonly hosts: LabHost[] = [];
  readonly clients: LabClient[] = [];
  readonly #onExit = (): void => sweep(this);
  #closed = false;

  private constructor(dir: string) {
    this.dir = dir;
    this.prefix = dir.slice(dir.lastIndexOf("/") + 1);
  }

  static async open(options: LabOptions): Promise<Lab> {
    sweepAbandoned();
    const lab = new Lab(mkdtempSync(join(ROOT, `sk${process.pid}-`)));
    chmodSync(lab.dir, 0o755); // the managers' unprivileged user passes through
    process.on("exit", lab.#onExit);
    try {
      await lab.#build(options);
    } catch (error) {
      await lab.close();
      throw error;
    }
    return lab;
  }

  host(number: number): LabHost {
    const host = this.hosts[number - 1];
    if (host === undefined) throw new Error(`the lab has hosts 1 to ${this.hosts.length}, got ${number}`);
    return host;
  }

  /**
   * Stops all daemons and removes every trace.
   * @returns what could not be removed: a test asserts that it is empty.
   */
  async close(): Promise<string[]> {
    if (this.#closed) return [];
    this.#closed = true;
    await Promise.all(this.hosts.map((host) => host.stop()));
    sweep(this);
    process.off("exit", this.#onExit);
    return remains(this);
  }

  async #build(options: LabOptions): Promise<void> {
    const bridge = `${this.prefix}-sw`;
    await run("ip", ["netns", "add", bridge]);
    await run("ip", ["-n", bridge, "link", "add", "br0", "type", "bridge"]);
    await run("ip", ["-n", bridge, "link", "set", "br0", "up"]);
    await run("ip", ["-n", bridge, "addr", "add", "10.99.0.254/24", "dev", "br0"]);
    await attempt("nsenter", [
      `--net=/run/netns/${bridge}`,
      "sysctl",
      "-qw",
      "net.bridge.bridge-nf-call-iptables=0",
    ]);
    for (let i = 1; i <= options.hosts; i++) {
      const netns = `${this.prefix}-h${i}`;
      await this.#plug(netns, `p${i}`, `10.99.0.${i}`);
      const dir = join(this.dir, `h${i}`);
      mkdirSync(dir, { mode: 0o755 });
      this.hosts.push(
        new LabHost({
          name: `host${i}`,
          netns,
          address: `10.99.0.${i}`,
          dir,
          cgroupParent: `${this.prefix}-h${i}`,
          plug: { netns: bridge, link: `p${i}` },
          daemonArgs: options.daemonArgs ?? [],
          echoLogs: options.echoLogs ?? false,
        }),
      );
    }
    for (let i = 1; i <= (options.clients ?? 1); i++) {
      const netns = `${this.prefix}-c${i}`;
      const address = `10.99.0.${100 + i}`;
      await this.#plug(netns, `c${i}`, address);
      this.clients.push(new LabClient({ netns, address }));
    }
  }

  async #plug(netns: string, link: string, address: string): Promise<void> {
    const bridge = `${this.prefix}-sw`;
    await run("ip", ["netns", "add", netns]);
    await run("ip", ["-n", netns, "link", "set", "lo", "up"]);
    await run("ip", [
      "-n",
      bridge,
      "link",
      "add",
      link,
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      netns,
    ]);
    await run("ip", ["-n", bridge, "link", "set", link, "master", "br0", "up"]);
    await run("ip", ["-n", netns, "addr", "add", `${address}/24`, "dev", "eth0"]);
    await run("ip", ["-n", netns, "link", "set", "eth0", "up"]);
    await run("ip", ["-n", netns, "route", "add", "default", "via", "10.99.0.254"]);
  }
}

/** Labs whose process was killed before it could clean up. */
function sweepAbandoned(): void {
  for (const name of readdirSync(ROOT)) {
    const pid = /^sk(\d+)-\w{6}$/.exec(name)?.[1];
    if (pid === undefined) continue;
    try {
      process.kill(Number(pid), 0);
    } catch {
      sweep({ dir: join(ROOT, name), prefix: name }); // its owner is gone
    }
  }
}
