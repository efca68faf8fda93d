/**
 * Three managers on loopback as processes of their own, without daemons: mutual TLS between them,
 * each with its unix socket, as in production. Edge: to processes and the file system.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { credentials } from "@grpc/grpc-js";
import { callUnary } from "../base/grpc/grpc-call.js";
import { requestIdentity } from "../node/join-client.js";
import type { ManagerMode, ManagerPlace } from "../node/manager-messages.js";
import type { TlsIdentity } from "../node/rpc-host.js";
import { MANAGER_V8_FLAGS } from "../node/v8-flags.js";
import { ControlClient } from "../proto/gen/skein/v1/control.js";
import { DebugClient, type RaftInspection } from "../proto/gen/skein/v1/debug.js";
import { NodeAvailability } from "../proto/gen/skein/v1/types.js";
import { AnsweringChild } from "./child-process.js";
import type { ManagerRequest, Started } from "./raft-manager-main.js";
import { until } from "./swarm-lab.js";

/** Of its own for each run, so that two runs do not meet. */
const BASE_PORT = 20_000 + (process.pid % 300) * 10;
const MANAGERS = 3;

export interface SkeinManagersOptions {
  /** Further flags for Node, say of a profiler. */
  readonly execArgv?: readonly string[];
}

interface ManagerSelf {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly identity: TlsIdentity;
}

export class SkeinManagers {
  readonly #dir = mkdtempSync(join(tmpdir(), "skein-bench-raft-"));
  readonly #children: AnsweringChild<ManagerRequest>[] = [];
  readonly #options: SkeinManagersOptions;
  /** Who each manager is, for starting it again. */
  readonly #selves: ManagerSelf[] = [];

  private constructor(options: SkeinManagersOptions) {
    this.#options = options;
  }

  /** Founds a cluster and lets two more managers join; resolves when all three vote. */
  static async open(options: SkeinManagersOptions = {}): Promise<SkeinManagers> {
    const managers = new SkeinManagers(options);
    try {
      await managers.#form();
      return managers;
    } catch (error) {
      await managers.close();
      throw error;
    }
  }

  get children(): readonly AnsweringChild<ManagerRequest>[] {
    return this.#children;
  }

  kill(manager: number): Promise<void> {
    return this.#child(manager).kill();
  }

  /** Starts a killed manager again; resolves when it serves. */
  async resume(manager: number): Promise<void> {
    const self = this.#selves[manager];
    if (self === undefined) throw new Error(`there was no manager ${manager}`);
    await this.#start(manager, { kind: "resume", ...self });
  }

  #child(manager: number): AnsweringChild<ManagerRequest> {
    const child = this.#children[manager];
    if (child === undefined) throw new Error(`there is no manager ${manager}`);
    return child;
  }

  socketOf(manager: number): string {
    return `unix:${join(this.#dir, `m${manager}`, "manager.sock")}`;
  }

  async inspect(manager: number): Promise<RaftInspection> {
    const client = new DebugClient(this.socketOf(manager), credentials.createInsecure());
    try {
      return await callUnary(client.inspectRaft.bind(client), {});
    } finally {
      client.close();
    }
  }

  async leader(): Promise<number> {
    let found = -1;
    await until("a leader", 10_000, async () => {
      const answers = await Promise.all(this.#children.map((child) => child.ask({ kind: "isLeader" })));
      found = answers.indexOf(true);
      return found >= 0;
    });
    return found;
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.end({ kind: "stop" })));
    rmSync(this.#dir, { recursive: true, force: true });
  }

  async #form(): Promise<void> {
    const founded = await this.#start(0, {
      kind: "init",
      spec: undefined,
      addressPools: [],
      subnetSize: 24,
      vxlanUdpPort: 4789,
      availability: NodeAvailability.ACTIVE,
      autolock: false,
    });
    const client = new ControlClient(this.socketOf(0), credentials.createInsecure());
    try {
      const { cluster } = await callUnary(client.getCluster.bind(client), {});
      const first = this.#addressOf(0);
      for (let number = 1; number < MANAGERS; number++) {
        const { identity, reply } = await requestIdentity({
          token: cluster?.rootCa?.managerToken ?? "",
          labels: {},
          remoteAddresses: [first],
          availability: NodeAvailability.ACTIVE,
          advertiseIp: "127.0.0.1",
        });
        const { clusterId } = founded;
        await this.#start(number, {
          kind: "join",
          nodeId: reply.nodeId,
          clusterId,
          identity,
          managers: [first],
        });
      }
      await until("three voters", 20_000, async () => {
        const [leader] = this.#children;
        return (await leader?.ask({ kind: "voters" })) === MANAGERS;
      });
    } finally {
      client.close();
    }
  }

  #addressOf(number: number): string {
    return `127.0.0.1:${BASE_PORT + number}`;
  }

  async #start(number: number, mode: ManagerMode): Promise<Started> {
    const folder = join(this.#dir, `m${number}`);
    mkdirSync(folder, { mode: 0o700, recursive: true });
    const place: ManagerPlace = {
      dir: join(folder, "raft"),
      socketPath: join(folder, "manager.sock"),
      listen: { host: "127.0.0.1", port: BASE_PORT + number },
      advertiseAddress: this.#addressOf(number),
      hostname: `m${number}`,
    };
    const module = fileURLToPath(new URL("./raft-manager-main.js", import.meta.url));
    const child = new AnsweringChild<ManagerRequest>(module, [
      ...MANAGER_V8_FLAGS,
      ...(this.#options.execArgv ?? []),
    ]);
    this.#children[number] = child;
    const config = { place, mode, user: undefined, logLevel: "warn" };
    const started = (await child.ask({ kind: "start", config })) as Started; // what `start` answers
    const identity = mode.kind === "init" ? started.identity : mode.identity;
    if (identity !== undefined)
      this.#selves[number] = { nodeId: started.nodeId, clusterId: started.clusterId, identity };
    return started;
  }
}
