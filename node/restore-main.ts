/**
 * Entry of the process that restores a backup: gives up root, reads the file from standard input, writes the
 * manager's folder, says who the manager is, and ends. Edge: to the process. It ends when its daemon ends.
 */
import { systemClock } from "../base/clock/system-clock.js";
import { codeOf, messageOf } from "../base/errors/errors.js";
import { createPinoLogger } from "../base/log/pino-logger.js";
import { systemRandom } from "../base/random/system-random.js";
import { giveUpRoot } from "./linux-give-up-root.js";
import type { FromRestore, RestoreConfig, ToRestore } from "./restore-messages.js";
import { restoreState } from "./restore-state.js";

/** Resolves when the daemon has it: the process may end then. */
function tell(message: FromRestore): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });
}

async function restore(config: RestoreConfig): Promise<void> {
  const { dir, secret, advertiseAddress, availability, user } = config;
  const log = createPinoLogger({ level: config.logLevel, name: "restore" });
  try {
    // while the files of the installation can still be read
    await import("../raft/storage/level-state.js");
    giveUpRoot({ dir, user });
    const outcome = await restoreState({
      file: process.stdin as AsyncIterable<Buffer>, // no encoding is set
      secret,
      dir,
      advertiseAddress,
      availability,
      clock: systemClock,
      random: systemRandom,
      log,
      onProgress: (progress) => void tell({ kind: "progress", progress }),
    });
    await tell({ kind: "restored", outcome });
    process.exit(0);
  } catch (error) {
    await tell({ kind: "failed", code: codeOf(error), message: messageOf(error) });
    process.exit(1);
  }
}

process.on("message", (message: ToRestore) => void restore(message.config));
process.on("disconnect", () => process.exit(1));
// The daemon decides when to stop: a terminal's Ctrl-C reaches the whole process group.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => process.exit(1));
