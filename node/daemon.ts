/**
 * skeind put together: workload, swarm life cycle, HTTP API. Edge: to everything it composes.
 * Order of start: workload (finds running containers), API (answers at once), swarm (may wait for managers).
 * Stopping leaves containers, connections and kernel state as they are.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { ApiListener } from "../api/http-listeners.js";
import { type ApiServer, openApiServer } from "../api/http-server.js";
import type { EngineBackend, NodeFacts } from "../api/ports.js";
import type { Clock } from "../base/clock/clock.js";
import { messageOf } from "../base/errors/errors.js";
import { Scope } from "../base/lifecycle/scope.js";
import type { Linux } from "../base/linux/linux-ports.js";
import type { Logger } from "../base/log/logger.js";
import type { Random } from "../base/random/random.js";
import type { EngineSettings } from "../proto/engine/settings.js";
import { cdiDeviceNames } from "../worker/runtime/fs-cdi-registry.js";
import { detectCgroupMode } from "../worker/runtime/linux-cgroup.js";
import { findProgram } from "../worker/runtime/process-run.js";
import { readFileIfThere } from "./atomic-file.js";
import type { DaemonOptions } from "./daemon-options.js";
import { lockDataDir } from "./data-dir-lock.js";
import type { LiveSettings } from "./live-settings.js";
import { LocalManager } from "./local-manager.js";
import { readMachineFacts } from "./machine-facts.js";
import { networkAudits, networkReport } from "./network-report.js";
import { NodeLock } from "./node-lock.js";
import { NodeWorkload } from "./node-workload.js";
import { SwarmFiles } from "./swarm-files.js";
import { SwarmLifecycle } from "./swarm-lifecycle.js";
import { withTaskListener } from "./task-api-socket.js";
import { taskNetworks } from "./task-networks.js";

export interface DaemonWorld {
  readonly linux: Linux;
  readonly clock: Clock;
  readonly random: Random;
  readonly settings: LiveSettings;
  readonly log: Logger;
}

const listenerName = (listener: ApiListener): string =>
  listener.kind === "unix" ? `unix://${listener.path}` : `tcp://${listener.address}:${listener.port}`;

/** The manager's user when the machine has none named as asked. */
const FALLBACK_UID = 64_731;

function managerUser(name: string): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const line = (readFileIfThere("/etc/passwd") ?? "").split("\n").find((text) => text.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  return uid === undefined || gid === undefined
    ? { uid: FALLBACK_UID, gid: FALLBACK_UID }
    : { uid: Number(uid), gid: Number(gid) };
}

export class Daemon {
  readonly #scope: Scope;

  private constructor(scope: Scope) {
    this.#scope = scope;
  }

  static async open(options: DaemonOptions, world: DaemonWorld): Promise<Daemon> {
    const { clock, random, settings, log } = world;
    const scope = new Scope();
    try {
      mkdirSync(options.dataDir, { recursive: true, mode: 0o711 });
      mkdirSync(options.runDir, { recursive: true, mode: 0o711 });
      scope.own(lockDataDir(options.dataDir));
      const facts: NodeFacts = readMachineFacts({
        dataDir: options.dataDir,
        hostname: options.hostname,
        cgroupVersion: detectCgroupMode() === "v2" ? "2" : "1",
        runtimes: ["crun", "runc"].filter((name) => findProgram(name) !== undefined),
        settings: () => settings.current,
        devices: await cdiDeviceNames({ log }),
        random,
      });
      let api: ApiServer | undefined;
      const serveTunnel = (connection: Duplex): void => {
        if (api === undefined) connection.destroy();
        else api.serveTunnel(connection);
      };
      const workload = scope.own(await NodeWorkload.open({ options, ...world, serveTunnel }));
      const localManager = new LocalManager(join(options.runDir, "manager", "m.sock"), clock);
      const swarm = scope.own(
        new SwarmLifecycle({
          files: new SwarmFiles(options.dataDir),
          hostname: options.hostname,
          managerDir: join(options.dataDir, "manager"),
          localManager,
          lock: new NodeLock(),
          managerUser: managerUser(options.managerUser),
          logLevel: options.logLevel,
          advertiseAddr: options.advertiseAddr,
          openAgent: (request) => workload.openAgent(request, facts),
          removeWorkload: () => workload.removeAll(),
          clock,
          random,
          log: log.child({ component: "swarm" }),
        }),
      );
      const toImages = (now: EngineSettings): void =>
        workload.images.setRegistryOptions({
          mirrors: now.registryMirrors,
          insecureRegistries: now.insecureRegistries,
          downloadsMax: now.maxConcurrentDownloads,
          uploadsMax: now.maxConcurrentUploads,
        });
      toImages(settings.current);
      scope.defer(settings.onChange(toImages));
      scope.defer(settings.onChange(() => swarm.describe()));
      const backend: EngineBackend = {
        facts,
        settings: () => settings.current,
        onSettingsChange: (listener) => settings.onChange(listener),
        swarm,
        isManager: () => localManager.isExpected,
        manager: () => localManager.endpoint(),
        managerReached: (waitMs) => localManager.reached(waitMs),
        onManagerChange: (listener) => localManager.onChange(listener),
        images: workload.images,
        containers: workload.containers,
        streaming: { containers: workload.containers, streams: workload.streams },
        files: workload.files,
        building: { builder: workload.builder, images: workload.images, containers: workload.containers },
        ...(workload.localNetworks === undefined ? {} : { localNetworks: workload.localNetworks }),
        networksOfTask: (taskId) =>
          taskNetworks(workload.network.taskNetworks(taskId), workload.known?.task(taskId)),
        known: () => workload.known,
        portsOfTask: (taskId) => workload.network.taskPorts(taskId),
        networkAudits: () => networkAudits(workload.network),
        inspectNetwork: () =>
          networkReport(workload.network, { nodeId: swarm.info().nodeId, hostname: facts.hostname }),
        clock,
        random: random.child("api"),
        log: log.child({ component: "api" }),
      };
      const resumed = swarm
        .resume()
        .catch((error: unknown) => log.error("returning to the swarm failed", { error: messageOf(error) }));
      await swarm.recalled; // a member of a swarm never says that it is none
      api = scope.own(await openApiServer(backend, { ...options, listeners: withTaskListener(options) }));
      scope.defer(() => resumed.then(() => undefined));
      log.info("skeind is up", {
        version: facts.version,
        listeners: options.listeners.map(listenerName),
        engine: facts.engineId,
      });
      return new Daemon(scope);
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#scope.close();
  }
}
