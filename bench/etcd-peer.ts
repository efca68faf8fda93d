/**
 * The peer of the failover and raft benchmarks: three etcd members on loopback with their default timers,
 * driven through the JSON gateway, or by gRPC on a unix socket each.
 * Edge: to processes and node:http. Runs only where etcd is installed (Debian: etcd-server).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { pause, until } from "./swarm-lab.js";

const PROGRAM = "/usr/bin/etcd";
const BASE_PORT = 23_790;
/** etcd takes host and port of a unix URL, put together, as a path in its working directory. */
const SOCKET = "client.sock";

export function etcdInstalled(): boolean {
  try {
    accessSync(PROGRAM, constants.X_OK);
    return true;
  } catch {
    return false; // the benchmark then reports without a peer
  }
}

/** Longer than any failover; puts that died with a member end by it. */
const TIMEOUT_MS = 4_000;

function post(
  port: number,
  path: string,
  body: unknown,
): Promise<{ status: number; json: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: "127.0.0.1", port, method: "POST", path, timeout: TIMEOUT_MS },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => {
          try {
            resolve({ status: response.statusCode ?? 0, json: JSON.parse(text) as Record<string, unknown> });
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        });
      },
    );
    outgoing.on("timeout", () => outgoing.destroy(new Error("timeout")));
    outgoing.on("error", reject);
    outgoing.end(JSON.stringify(body));
  });
}

export class EtcdCluster {
  readonly #dir = mkdtempSync("/tmp/skein-bench-etcd-");
  readonly #members: (ChildProcess | undefined)[] = [undefined, undefined, undefined];
  readonly #unixSockets: boolean;

  /** @param options.unixSockets serves gRPC on unix sockets, too. @default false */
  constructor(options: { unixSockets?: boolean } = {}) {
    this.#unixSockets = options.unixSockets ?? false;
  }

  clientPort(member: number): number {
    return BASE_PORT + member * 10;
  }

  start(member: number): void {
    const peer = (i: number): string => `http://127.0.0.1:${this.clientPort(i) + 1}`;
    const client = `http://127.0.0.1:${this.clientPort(member)}`;
    const cluster = [0, 1, 2].map((i) => `m${i}=${peer(i)}`).join(",");
    const flags = [
      ...["--name", `m${member}`, "--data-dir", join(this.#dir, `m${member}`), "--log-level", "error"],
      ...["--listen-client-urls", this.#unixSockets ? `${client},unix://${SOCKET}:${member}` : client],
      ...["--advertise-client-urls", client],
      ...["--listen-peer-urls", peer(member), "--initial-advertise-peer-urls", peer(member)],
      ...["--initial-cluster", cluster, "--initial-cluster-state", "new"],
    ];
    this.#members[member] = spawn(PROGRAM, flags, { stdio: "ignore", cwd: this.#dir });
  }

  /** The unix socket on which a member serves gRPC, as grpc-js dials it. */
  socketOf(member: number): string {
    return `unix:${join(this.#dir, `${SOCKET}:${member}`)}`;
  }

  /** Processes of the members that run. */
  get pids(): readonly number[] {
    return this.#members.flatMap((child) => child?.pid ?? []);
  }

  /** Index of the leader once all three agree on it. */
  async leader(): Promise<number> {
    let found = -1;
    await until("an etcd leader", 30_000, async () => {
      const answers = await Promise.all(
        [0, 1, 2].map((i) =>
          post(this.clientPort(i), "/v3/maintenance/status", {}).then(
            ({ json }) => ({
              leader: json["leader"],
              id: (json["header"] as Record<string, unknown> | undefined)?.["member_id"],
            }),
            () => undefined, // not up yet: asked again
          ),
        ),
      );
      found = answers.findIndex(
        (answer) => answer !== undefined && answer.leader !== "0" && answer.leader === answer.id,
      );
      return (
        found >= 0 && answers.every((answer) => answer !== undefined && answer.leader === answers[found]?.id)
      );
    });
    return found;
  }

  async put(member: number, key: string): Promise<boolean> {
    const body = { key: Buffer.from(key).toString("base64"), value: "eA==" };
    return (await post(this.clientPort(member), "/v3/kv/put", body)).status === 200;
  }

  async kill(member: number): Promise<void> {
    const child = this.#members[member];
    if (child === undefined) return;
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGKILL");
    await exited;
    this.#members[member] = undefined;
  }

  async close(): Promise<void> {
    for (const member of [0, 1, 2]) await this.kill(member);
    await pause(100);
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
