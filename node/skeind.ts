#!/usr/bin/env -S node --max-semi-space-size=1 --optimize-for-size --single-threaded-gc --v8-pool-size=1 --interrupt-budget=10000000
/**
 * Entry of skeind. Edge: to the process: arguments, signals, exit code.
 */
import { systemClock } from "../base/clock/system-clock.js";
import { messageOf } from "../base/errors/errors.js";
import { openLinux } from "../base/linux/open-linux.js";
import { createPinoLogger } from "../base/log/pino-logger.js";
import { systemRandom } from "../base/random/system-random.js";
import { Daemon } from "./daemon.js";
import { type DaemonOptions, HELP, parseDaemonOptions } from "./daemon-options.js";
import { SKEIN_VERSION } from "./machine-facts.js";

async function main(options: DaemonOptions): Promise<void> {
  const log = createPinoLogger({ level: options.logLevel, name: options.hostname });
  const fatal = (what: string, error: unknown): void => {
    log.error(what, { error });
    process.exit(1);
  };
  process.on("uncaughtException", (error) => fatal("uncaught exception: this is a bug", error));
  process.on("unhandledRejection", (error) => fatal("unhandled rejection: this is a bug", error));
  let daemon: Daemon;
  try {
    daemon = await Daemon.open(options, {
      linux: await openLinux({ log }),
      clock: systemClock,
      random: systemRandom,
      log,
    });
  } catch (error) {
    log.error("skeind could not start", { error: messageOf(error) });
    process.exit(1);
  }
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    log.info("stopping; containers go on", { signal });
    daemon.close().then(
      () => process.exit(0),
      (error: unknown) => fatal("stopping failed", error),
    );
  };
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
}

try {
  const options = parseDaemonOptions(process.argv.slice(2));
  if (options === "help") process.stdout.write(HELP);
  else if (options === "version") process.stdout.write(`skeind ${SKEIN_VERSION}\n`);
  else if (process.getuid?.() !== 0)
    throw new Error("skeind needs root: it makes namespaces, mounts and nftables rules");
  else await main(options);
} catch (error) {
  process.stderr.write(`skeind: ${messageOf(error)}\n`);
  process.exit(2);
}
