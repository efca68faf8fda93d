#!/usr/bin/env -S node --max-semi-space-size=1 --optimize-for-size --single-threaded-gc --v8-pool-size=1 --interrupt-budget=10000000
/**
 * Entry of skeind. Edge: to the process: arguments, signals, exit code.
 */
import { rmSync } from "node:fs";
import { hostname } from "node:os";
import { systemClock } from "../base/clock/system-clock.js";
import { messageOf } from "../base/errors/errors.js";
import { openLinux } from "../base/linux/open-linux.js";
import { createPinoLogger } from "../base/log/pino-logger.js";
import { systemRandom } from "../base/random/system-random.js";
import { readFileIfThere, writeFileAtomic } from "./atomic-file.js";
import { Daemon } from "./daemon.js";
import { type DaemonOptions, HELP, type OptionSources, parseDaemonOptions } from "./daemon-options.js";
import { LiveSettings } from "./live-settings.js";
import { SKEIN_VERSION } from "./machine-facts.js";

const ARGS = process.argv.slice(2);
const SOURCES: OptionSources = { hostname: hostname(), readFile: readFileIfThere, environment: process.env };

async function main(options: DaemonOptions): Promise<void> {
  const log = createPinoLogger({ level: options.logLevel, name: options.hostname });
  const fatal = (what: string, error: unknown): void => {
    log.error(what, { error });
    process.exit(1);
  };
  process.on("uncaughtException", (error) => fatal("uncaught exception: this is a bug", error));
  process.on("unhandledRejection", (error) => fatal("unhandled rejection: this is a bug", error));
  for (const warning of options.warnings) log.warn(warning);
  const settings = new LiveSettings(options, ARGS, SOURCES);
  let daemon: Daemon;
  try {
    daemon = await Daemon.open(options, {
      linux: await openLinux({ log }),
      clock: systemClock,
      random: systemRandom,
      settings,
      log,
    });
    if (options.pidFile !== "") writeFileAtomic(options.pidFile, `${process.pid}`, 0o644);
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
      () => {
        if (options.pidFile !== "") rmSync(options.pidFile, { force: true });
        process.exit(0);
      },
      (error: unknown) => fatal("stopping failed", error),
    );
  };
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
  process.on("SIGHUP", () => {
    try {
      for (const warning of settings.reload()) log.warn(warning);
      log.info("settings read again", { file: options.configFile });
    } catch (error) {
      log.error("settings not read again: the file is wrong", { error: messageOf(error) });
    }
  });
}

try {
  const options = parseDaemonOptions(ARGS, SOURCES);
  if (options === "help") process.stdout.write(HELP);
  else if (options === "version") process.stdout.write(`skeind ${SKEIN_VERSION}\n`);
  else if (options === "valid") process.stdout.write("configuration OK\n");
  else if (process.getuid?.() !== 0)
    throw new Error("skeind needs root: it makes namespaces, mounts and nftables rules");
  else await main(options);
} catch (error) {
  process.stderr.write(`skeind: ${messageOf(error)}\n`);
  process.exit(2);
}
