/**
 * Chooses how the kernel is reached: system calls where they can be had, commands where not. Edge: to the
 * environment: SKEIN_LINUX may say koffi or spawn; unset or empty leaves the choice to the machine.
 */
import { FailedPreconditionError, InvalidArgumentError, messageOf } from "../errors/errors.js";
import type { Logger } from "../log/logger.js";
import type { Linux } from "./linux-ports.js";

export interface OpenLinuxOptions {
  readonly log: Logger;
  /** @default the environment variable SKEIN_LINUX */
  readonly choice?: string | undefined;
  /** @default the one of linux-koffi.ts, loaded when asked for */
  readonly openKoffi?: () => Promise<Linux>;
}

async function loadKoffi(): Promise<Linux> {
  const { openKoffiLinux } = await import("./linux-koffi.js");
  return openKoffiLinux();
}

async function loadSpawn(): Promise<Linux> {
  const { openSpawnLinux } = await import("./linux-spawn.js");
  return openSpawnLinux();
}

/**
 * @throws {InvalidArgumentError} when the choice is neither koffi nor spawn.
 * @throws {FailedPreconditionError} when koffi was chosen and cannot be loaded.
 */
export async function openLinux(options: OpenLinuxOptions): Promise<Linux> {
  const { log, choice = process.env["SKEIN_LINUX"] ?? "", openKoffi = loadKoffi } = options;
  if (choice === "spawn") {
    log.warn("commands take the place of system calls, as chosen: no overlay networks", { choice });
    return loadSpawn();
  }
  if (choice !== "" && choice !== "koffi") {
    throw new InvalidArgumentError(`SKEIN_LINUX must be koffi or spawn, got ${JSON.stringify(choice)}`);
  }
  try {
    return await openKoffi();
  } catch (error) {
    if (choice === "koffi") {
      throw new FailedPreconditionError(
        `koffi cannot be loaded: ${messageOf(error)}; SKEIN_LINUX=spawn does without`,
        {
          cause: error,
        },
      );
    }
    log.warn(
      "koffi cannot be loaded: commands take the place of system calls, and there are no overlay networks",
      {
        error: messageOf(error),
      },
    );
    return loadSpawn();
  }
}
