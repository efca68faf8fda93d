/**
 * Entry of the manager process: waits for its configuration on the IPC channel, builds the manager,
 * gives up root, serves.
 * Edge: to the process. It ends when its daemon ends.
 */
import { dirname } from "node:path";
import { systemClock } from "../base/clock/system-clock.js";
import { codeOf, messageOf } from "../base/errors/errors.js";
import { createPinoLogger } from "../base/log/pino-logger.js";
import { systemRandom } from "../base/random/system-random.js";
import { IpcLockFollower } from "./ipc-lock-follower.js";
import { IpcSecretDrivers } from "./ipc-secret-drivers.js";
import { giveUpRoot } from "./linux-give-up-root.js";
import type { FromManager, ManagerConfig, ToManager } from "./manager-messages.js";
import { ManagerRuntime } from "./manager-runtime.js";
import { optimizeWhenBusy } from "./process-optimizer.js";

let runtime: ManagerRuntime | undefined;
const lockFollower = new IpcLockFollower(tell);
const secretDrivers = new IpcSecretDrivers(tell, systemClock);
let stopping = false;

function tell(message: FromManager): void {
  if (process.connected) process.send?.(message);
}

const TROUBLE_PERIOD_MS = 1_000;

/** Raft says how it is when asked; the daemon wants to hear of changes. */
function tellTrouble({ raft }: ManagerRuntime): void {
  let told = "";
  systemClock.setInterval(TROUBLE_PERIOD_MS, () => {
    const trouble = raft.status().trouble ?? "";
    if (trouble !== told) tell({ kind: "trouble", message: trouble });
    told = trouble;
  });
}

async function start(config: ManagerConfig): Promise<void> {
  const log = createPinoLogger({ level: config.logLevel, name: "manager" });
  try {
    await ManagerRuntime.preload();
    const { place, user } = config;
    giveUpRoot({ dir: place.dir, socketFolder: dirname(place.socketPath), user });
    runtime = await ManagerRuntime.open(config, {
      clock: systemClock,
      random: systemRandom,
      log,
      lockFollower,
      secretDrivers,
      onStopped: (error) => {
        log.error("raft stopped; the manager ends and is started again", { error: messageOf(error) });
        tell({ kind: "stopped", message: messageOf(error) });
        void stop(1);
      },
      onRemoved: (reason) => {
        tell({ kind: "removed", message: reason });
        void stop();
      },
    });
    optimizeWhenBusy(systemClock);
    tellTrouble(runtime);
    tell({
      kind: "ready",
      nodeId: runtime.nodeId,
      clusterId: runtime.clusterId,
      identity: runtime.createdIdentity,
      unlockKey: runtime.unlockKey,
      recovery: runtime.recovery,
    });
  } catch (error) {
    log.error("manager could not start", { error: messageOf(error) });
    tell({ kind: "failed", code: codeOf(error), message: messageOf(error) });
    setImmediate(() => process.exit(1));
  }
}

/**
 * As long as the daemon waits; without a daemon nobody else ends a close that hangs,
 * and the next manager needs port and files.
 */
const STOP_TIMEOUT_MS = 10_000;

async function stop(exitCode = 0): Promise<void> {
  if (stopping) return;
  stopping = true;
  systemClock.setTimer(STOP_TIMEOUT_MS, () => process.exit(1));
  try {
    await runtime?.close();
  } finally {
    process.exit(exitCode);
  }
}

process.on("message", (message: ToManager) => {
  switch (message.kind) {
    case "start":
      void start(message.config);
      break;
    case "identity":
      runtime?.exchangeIdentity(message.identity);
      break;
    case "lock-followed":
      lockFollower.answered(message.refusal);
      break;
    case "secret-given":
      secretDrivers.answered(message);
      break;
    case "stop":
      void stop();
      break;
  }
});
process.on("disconnect", () => {
  lockFollower.answered("the daemon is gone");
  void stop();
});
// The daemon decides when to stop: a terminal's Ctrl-C reaches the whole process group.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => void stop());
