/**
 * One manager for the write benchmark: the same ManagerRuntime as in production, and beside it two requests
 * of the benchmark, because what is proposed inside the leader can only be measured there.
 * Edge: to the process and its parent, which forks it.
 */
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { systemClock } from "../base/clock/system-clock.js";
import { messageOf } from "../base/errors/errors.js";
import { createPinoLogger } from "../base/log/pino-logger.js";
import { systemRandom } from "../base/random/system-random.js";
import type { ManagerConfig } from "../node/manager-messages.js";
import { ManagerRuntime } from "../node/manager-runtime.js";
import { optimizeWhenBusy } from "../node/process-optimizer.js";
import type { TlsIdentity } from "../node/rpc-host.js";
import { Config } from "../proto/gen/skein/v1/objects.js";
import { LoopHold } from "./loop-hold.js";
import { pause } from "./swarm-lab.js";

export type ManagerRequest = { readonly id: number } & (
  | { readonly kind: "start"; readonly config: ManagerConfig }
  /** Stores so many objects by `Store.batch`, waits until every member has them on its disk, removes them. */
  | { readonly kind: "batch"; readonly objects: number; readonly bytes: number }
  /** As many log entries, each an update of one of so many objects. */
  | { readonly kind: "entries"; readonly entries: number; readonly objects: number; readonly bytes: number }
  /** Stores so many objects, which stay. */
  | { readonly kind: "fill"; readonly objects: number; readonly bytes: number }
  | { readonly kind: "isLeader" }
  | { readonly kind: "voters" }
  /** The longest time since the last question in which the event loop did nothing else. */
  | { readonly kind: "hold" }
  /** The same by CPU time and by wall time, from the first of these questions on. */
  | { readonly kind: "loopHold" }
  | { readonly kind: "stop" }
);

export interface ManagerAnswer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

export interface Started {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly identity: TlsIdentity | undefined;
}

let runtime: ManagerRuntime | undefined;
let loopHold: LoopHold | undefined;
const loopDelay = monitorEventLoopDelay({ resolution: 1 });

function opened(): ManagerRuntime {
  if (runtime === undefined) throw new Error("this manager has not started");
  return runtime;
}

async function start(config: ManagerConfig): Promise<Started> {
  await ManagerRuntime.preload();
  runtime = await ManagerRuntime.open(config, {
    clock: systemClock,
    random: systemRandom,
    log: createPinoLogger({ level: config.logLevel, name: "manager" }),
    onStopped: (error) => {
      console.error(`raft stopped: ${messageOf(error)}`);
      process.exit(1);
    },
  });
  optimizeWhenBusy(systemClock);
  loopDelay.enable();
  const { nodeId, clusterId, createdIdentity } = runtime;
  return { nodeId, clusterId, identity: createdIdentity };
}

/** @returns objects a second, from the first proposal until the last member has synced the last object. */
async function batch(objects: number, bytes: number): Promise<number> {
  const { store, raft } = opened();
  const prefix = `b${systemRandom.uint32().toString(36)}`;
  const data = Array.from({ length: objects }, () => systemRandom.bytes(bytes));
  const configs = data.map((each, i) =>
    Config.fromPartial({ id: `${prefix}${i}`, annotations: { name: `${prefix}-${i}` }, data: each }),
  );
  const startedAt = performance.now();
  await store.batch(configs, (tx, config) => tx.create("config", config));
  const { lastIndex } = raft.status();
  while (raft.status().progress.some(({ match }) => match < lastIndex)) await pause(1);
  const seconds = (performance.now() - startedAt) / 1_000;
  await store.batch(configs, (tx, { id }) => tx.remove("config", id));
  return objects / seconds;
}

/** In portions, so that the objects not yet stored are few. */
const FILL_PORTION_BYTES = 4 * 1024 * 1024;

async function fill(objects: number, bytes: number): Promise<void> {
  const { store } = opened();
  const portion = Math.ceil(FILL_PORTION_BYTES / bytes);
  for (let first = 0; first < objects; first += portion) {
    const count = Math.min(portion, objects - first);
    const configs = Array.from({ length: count }, (_, i) => {
      const id = `f${bytes}-${first + i}`;
      return Config.fromPartial({ id, annotations: { name: id }, data: systemRandom.bytes(bytes) });
    });
    await store.batch(configs, (tx, config) => tx.create("config", config));
  }
}

/** Updates in flight: enough to fill every sync of the log. */
const ENTRIES_IN_FLIGHT = 200;

async function propose(entries: number, objects: number, bytes: number): Promise<void> {
  const { store } = opened();
  for (let first = 0; first < entries; first += ENTRIES_IN_FLIGHT) {
    const ids = Array.from({ length: ENTRIES_IN_FLIGHT }, (_, i) => `e${(first + i) % objects}`);
    await Promise.all(
      ids.map((id) =>
        store.update((tx) => {
          const held = tx.get("config", id);
          const data = systemRandom.bytes(bytes);
          if (held === undefined)
            tx.create("config", Config.fromPartial({ id, annotations: { name: id }, data }));
          else tx.update("config", { ...held, data });
        }),
      ),
    );
  }
}

async function answer(request: ManagerRequest): Promise<unknown> {
  switch (request.kind) {
    case "start":
      return start(request.config);
    case "batch":
      return batch(request.objects, request.bytes);
    case "entries":
      return propose(request.entries, request.objects, request.bytes);
    case "fill":
      return fill(request.objects, request.bytes);
    case "isLeader":
      return opened().raft.status().role === "leader";
    case "voters":
      return opened()
        .raft.status()
        .membership.members.filter(({ learner }) => !learner).length;
    case "hold": {
      const ms = loopDelay.max / 1e6;
      loopDelay.reset();
      return ms;
    }
    case "loopHold":
      loopHold ??= new LoopHold();
      return loopHold.take();
    case "stop":
      await runtime?.close();
      setImmediate(() => process.exit(0));
      return undefined;
  }
}

process.on("message", (request: ManagerRequest) => {
  const tell = (reply: ManagerAnswer): void => {
    if (process.connected) process.send?.(reply);
  };
  answer(request).then(
    (value) => tell({ id: request.id, value }),
    (error: unknown) => tell({ id: request.id, error: messageOf(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
