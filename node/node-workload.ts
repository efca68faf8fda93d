/**
 * What a node runs tasks with: images, containers, network plane. Edge: to the worker's and the network's
 * implementations. It exists with and without a swarm; the agent is added when the node joins one.
 */
import { existsSync } from "node:fs";
import { access } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { credentials } from "@grpc/grpc-js";
import type { NodeFacts } from "../api/ports.js";
import type { Clock } from "../base/clock/clock.js";
import { messageOf, NotImplementedError } from "../base/errors/errors.js";
import { Scope } from "../base/lifecycle/scope.js";
import type { Linux } from "../base/linux/linux-ports.js";
import type { Logger } from "../base/log/logger.js";
import type { Random } from "../base/random/random.js";
import { createAbsentNetworkPlane } from "../net-overlay/absent-network-plane.js";
import { NodeAttachments } from "../net-overlay/attachments/node-attachments.js";
import { createNetworkPlane } from "../net-overlay/linux-network-plane.js";
import { openLocalNetworks } from "../net-overlay/local/linux-local-networks.js";
import type { NodeLocalNetworks } from "../net-overlay/local/local-networks.js";
import type { OverlayNetworks } from "../net-overlay/local/overlay-networks.js";
import type { NetworkPlane } from "../net-overlay/network-plane.js";
import type { ImageBuilder } from "../proto/engine/build.js";
import type { ContainerStreams } from "../proto/engine/streams.js";
import { AttachmentsClient } from "../proto/gen/skein/v1/attachments.js";
import { DispatcherClient } from "../proto/gen/skein/v1/dispatcher.js";
import { LogBrokerClient } from "../proto/gen/skein/v1/logs.js";
import type { Task } from "../proto/gen/skein/v1/objects.js";
import { TunnelsClient } from "../proto/gen/skein/v1/reach.js";
import { createAgent } from "../worker/agent/agent.js";
import type { KnownCluster } from "../worker/agent/known-cluster.js";
import type { ManagerConnection } from "../worker/agent/manager-connection.js";
import { LocalContainerFileAccess } from "../worker/containers/files/container-file-access.js";
import { holdRoots } from "../worker/containers/files/rootfs-holds.js";
import {
  type LocalContainerManager,
  openContainerManager,
} from "../worker/containers/open-container-manager.js";
import { openContainerStreams } from "../worker/containers/streams/container-streams.js";
import { createContainerExecutor } from "../worker/exec/container-executor.js";
import { TASK_ID_LABEL, taskName } from "../worker/exec/task-names.js";
import { openImageBuilder } from "../worker/images/build/open-image-builder.js";
import type { ImageWorkshop } from "../worker/images/image-store.js";
import { openImageStore } from "../worker/images/linux-image-store.js";
import { RemovedLogs } from "../worker/reach/fs-removed-logs.js";
import { killProcess } from "../worker/runtime/linux-process.js";
import { openLevelAgentState } from "../worker/state/level-agent-state.js";
import { removeFolder } from "./atomic-file.js";
import type { DaemonOptions } from "./daemon-options.js";
import { localNetworkInit } from "./local-network-init.js";
import { describeNode } from "./machine-facts.js";
import { CHANNEL_OPTIONS } from "./manager-channels.js";
import type { AgentRequest, NodeAgent } from "./swarm-lifecycle-options.js";
import { apiSocketDir } from "./task-api-socket.js";
import { tlsHashes } from "./tls-hashes.js";

export interface WorkloadOptions {
  readonly options: DaemonOptions;
  readonly linux: Linux;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Takes connections that managers reach for tasks' containers by. */
  readonly serveTunnel: (connection: Duplex) => void;
}

/** Where the kernel is reached by commands alone there is no network; containers without one still run. */
function openNetwork({ options, linux, clock, random, log }: WorkloadOptions): NetworkPlane {
  try {
    return createNetworkPlane({ linux, runDir: options.runDir, clock, random: random.child("network"), log });
  } catch (error) {
    if (!(error instanceof NotImplementedError)) throw error;
    log.error("this node has no networks: tasks that need one are refused", { error: error.message });
    return createAbsentNetworkPlane(error.message);
  }
}

/** The same for bridge networks; undefined: containers that name one are refused. */
function openLocal(
  { options, linux, clock, random, log }: WorkloadOptions,
  isMeshPort: NetworkPlane["isPublished"],
  overlays: OverlayNetworks,
): ReturnType<typeof openLocalNetworks> | undefined {
  try {
    const { dataDir, runDir } = options;
    return openLocalNetworks({
      linux,
      dataDir,
      runDir,
      clock,
      random: random.child("local-networks"),
      log,
      isMeshPort,
      overlays,
      init: localNetworkInit(options.settings.network),
    });
  } catch (error) {
    if (!(error instanceof NotImplementedError)) throw error;
    log.error("this node has no local networks", { error: error.message });
    return undefined;
  }
}

export class NodeWorkload {
  readonly images: ImageWorkshop;
  readonly containers: LocalContainerManager;
  readonly streams: ContainerStreams;
  readonly files: LocalContainerFileAccess;
  readonly builder: ImageBuilder;
  readonly network: NetworkPlane;
  /** undefined where the kernel is reached by commands alone. */
  readonly localNetworks: NodeLocalNetworks | undefined;
  readonly #attachments: NodeAttachments;
  readonly #parts: WorkloadOptions;
  readonly #scope: Scope;
  #known: KnownCluster | undefined;

  private constructor(
    parts: WorkloadOptions,
    made: Pick<
      NodeWorkload,
      "images" | "containers" | "builder" | "streams" | "files" | "network" | "localNetworks"
    > & {
      scope: Scope;
      attachments: NodeAttachments;
    },
  ) {
    this.#parts = parts;
    this.images = made.images;
    this.containers = made.containers;
    this.streams = made.streams;
    this.files = made.files;
    this.builder = made.builder;
    this.network = made.network;
    this.localNetworks = made.localNetworks;
    this.#scope = made.scope;
    this.#attachments = made.attachments;
  }

  static async open(parts: WorkloadOptions): Promise<NodeWorkload> {
    const { options, linux, clock, random, log } = parts;
    const scope = new Scope();
    try {
      const images = scope.own(
        await openImageStore({
          dir: join(options.dataDir, "images"),
          linux,
          clock,
          random: random.child("images"),
          log: log.child({ component: "images" }),
          insecureRegistries: options.settings.insecureRegistries,
          registryMirrors: options.settings.registryMirrors,
          proxies: { https: options.settings.proxies.https, none: options.settings.proxies.no },
          certsDirs: ["/etc/skein/certs.d", "/etc/docker/certs.d"],
        }),
      );
      const network = scope.own(openNetwork(parts));
      const attachments = new NodeAttachments({
        plugs: () => network.containers,
        isMember: () => existsSync(join(options.dataDir, "swarm", "state.json")),
        clock,
        log: log.child({ component: "attachments" }),
      });
      scope.defer(() => attachments.close());
      const isMeshPort: NetworkPlane["isPublished"] = (protocol, port) => network.isPublished(protocol, port);
      const local = openLocal(parts, isMeshPort, attachments);
      if (local !== undefined) scope.own(local);
      const { images: rooted, holds } = holdRoots(images, {
        clock,
        log: log.child({ component: "files" }),
      });
      scope.defer(() => holds.close());
      const containers = scope.own(
        await openContainerManager({
          ...(local === undefined ? {} : { networks: local.networks }),
          dir: join(options.dataDir, "containers"),
          runDir: join(options.runDir, "c"),
          cgroupParent: `/${options.cgroupParent}`,
          images: rooted,
          linux,
          clock,
          random: random.child("containers"),
          log: log.child({ component: "containers" }),
        }),
      );
      const streams = scope.own(
        openContainerStreams({
          containers,
          runDir: join(options.runDir, "c"),
          linux,
          clock,
          random: random.child("streams"),
          log: log.child({ component: "streams" }),
        }),
      );
      const files = scope.own(
        new LocalContainerFileAccess({
          containers,
          volumes: containers.volumes,
          images,
          holds,
          clock,
          log: log.child({ component: "files" }),
        }),
      );
      const builder = scope.own(
        await openImageBuilder({
          dir: join(options.dataDir, "build"),
          images,
          containers,
          streams,
          linux,
          clock,
          random: random.child("build"),
          log: log.child({ component: "build" }),
        }),
      );
      containers.startByPolicy();
      return new NodeWorkload(parts, {
        images,
        containers,
        streams,
        files,
        builder,
        network,
        localNetworks: local?.networks,
        attachments,
        scope,
      });
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  /** What this node has been told of the swarm it is in. */
  get known(): KnownCluster | undefined {
    return this.#known;
  }

  /** Makes this node an agent of a swarm. */
  async openAgent(request: AgentRequest, facts: NodeFacts): Promise<NodeAgent> {
    const { clock, random, log } = this.#parts;
    const describe = () => {
      const { dataPathAddress } = request;
      return Promise.resolve(
        describeNode(facts, {
          dataPathAddress,
          managerTrouble: request.managerTrouble(),
          networkTrouble: this.network.trouble,
          pathMtuBytes: this.network.pathMtuBytes,
          nodeAddresses: this.network.nodeAddresses,
          encryption: this.network.encryptionFacts(),
          tls: tlsHashes(request.channels.identity),
        }),
      );
    };
    const removedLogs = await RemovedLogs.open({
      dir: this.#removedLogsDir(),
      clock,
      log: log.child({ component: "removed-logs" }),
    });
    const socketDir = apiSocketDir(this.#parts.options.runDir);
    const executor = createContainerExecutor(
      {
        containers: this.containers,
        images: this.images,
        network: this.network,
        describe,
        node: () => ({
          id: request.nodeId,
          hostname: facts.hostname,
          os: "linux",
          architecture: facts.architecture,
        }),
        keepLog: (task, containerId) => keepLog(removedLogs, this.containers, task, containerId),
        nowMs: () => clock.nowMs(),
        hooks: { streams: this.streams, clock, killProcess },
        ...(socketDir === undefined ? {} : { apiSocketDir: socketDir }),
        pathExists: (path) =>
          access(path).then(
            () => true,
            () => false, // not there, or not reachable: the same to a bind mount
          ),
        log: log.child({ component: "executor" }),
      },
      { startsMax: 2 * cpus().length },
    );
    const state = await openLevelAgentState({
      path: this.#agentStateDir(),
      log: log.child({ component: "agent-state" }),
    });
    const agent = createAgent(
      {
        executor,
        network: this.network,
        state,
        attachments: this.#attachments,
        dial: (address) => this.#dial(request, address),
        describe,
        removedLogs,
        serveTunnel: this.#parts.serveTunnel,
        clock,
        random: random.child("agent"),
        log: log.child({ component: "agent" }),
      },
      {
        nodeId: request.nodeId,
        managers: request.managers,
        onSessionUpdate: request.onSessionUpdate,
        onRefused: request.onRefused,
      },
    );
    const tellAgain = this.network.onDescribed(() => {
      agent.describeAgain().catch((error: unknown) => {
        log.debug("describing this node failed", { error: messageOf(error) });
      });
    });
    this.#known = agent.known;
    await agent.start();
    return {
      reconnect: (reason) => agent.reconnect(reason),
      describeAgain: () => agent.describeAgain(),
      close: async ({ leaving }) => {
        tellAgain();
        this.#known = undefined;
        if (leaving) await agent.removeTasks();
        await agent.close({ leaving });
        executor.close();
        removedLogs.close();
        await state.close();
      },
    };
  }

  /** The last step of leaving: no task, no network, no memory of the swarm. */
  async removeAll(): Promise<void> {
    // Left by an agent that could not be started, and so could not remove its tasks itself.
    const ofTasks = this.containers
      .list()
      .filter(({ specification }) => TASK_ID_LABEL in specification.labels);
    for (const { id } of ofTasks) await this.containers.remove(id, { force: true, removeVolumes: true });
    await this.localNetworks?.leaveOverlays();
    await this.network.removeAll();
    removeFolder(this.#agentStateDir());
    removeFolder(this.#removedLogsDir());
  }

  close(): Promise<void> {
    return this.#scope.close();
  }

  /** Beside the containers, so that their files can be linked to. */
  #removedLogsDir(): string {
    return join(this.#parts.options.dataDir, "containers-removed");
  }

  #agentStateDir(): string {
    return join(this.#parts.options.dataDir, "agent");
  }

  /** A channel of its own per connection: one that failed is dialled anew at once, without gRPC's pause. */
  #dial(request: AgentRequest, address: string): ManagerConnection {
    const { rootCaPem, keyPem, certificatePem } = request.channels.identity;
    const secure = credentials.createSsl(
      Buffer.from(rootCaPem),
      Buffer.from(keyPem),
      Buffer.from(certificatePem),
    );
    const dispatcher = new DispatcherClient(address, secure, CHANNEL_OPTIONS);
    const logBroker = new LogBrokerClient(address, secure, { channelOverride: dispatcher.getChannel() });
    const attachments = new AttachmentsClient(address, secure, {
      channelOverride: dispatcher.getChannel(),
    });
    let tunnels: TunnelsClient | undefined;
    return {
      attachments: () => attachments,
      dispatcher,
      logBroker,
      tunnels: () => {
        tunnels ??= new TunnelsClient(address, secure, CHANNEL_OPTIONS);
        return tunnels;
      },
      close: () => {
        dispatcher.close();
        tunnels?.close();
      },
    };
  }
}

/** One without a log that can be read has none to keep. */
async function keepLog(
  removed: RemovedLogs,
  containers: LocalContainerManager,
  task: Task,
  containerId: string,
): Promise<void> {
  const driver = containers.find(containerId)?.specification.log.driver;
  if (driver === undefined || driver === "none") return;
  const name = taskName(task);
  await removed.keep(
    { id: task.id, serviceId: task.serviceId, name },
    containers.logSource(containerId).path,
  );
}
