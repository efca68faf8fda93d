/**
 * Where the run files of a container are. Pure.
 * Invariant: the attach socket's path stays below the 107 bytes that a unix socket address holds,
 * so folder names are short.
 */
import { join } from "node:path";
import { InvalidArgumentError } from "../../base/errors/errors.js";

const SOCKET_PATH_BYTES_MAX = 107;
const SHORT_ID_LENGTH = 16;

export interface RuntimeLayout {
  /** The runtime's own state (--root). */
  readonly stateDir: string;
  /** One file per ended container, named by its id. */
  readonly exitDir: string;
  bundleDir(id: string): string;
}

/** @throws {InvalidArgumentError} when runDir is too long for sockets inside it. */
export function runtimeLayout(runDir: string): RuntimeLayout {
  const bundleDir = (id: string): string => join(runDir, "c", id.slice(0, SHORT_ID_LENGTH));
  const longest = Buffer.byteLength(join(bundleDir("0".repeat(64)), "attach"));
  if (longest > SOCKET_PATH_BYTES_MAX) {
    throw new InvalidArgumentError(
      `run folder is ${longest - SOCKET_PATH_BYTES_MAX} bytes too long for unix sockets in it: ${runDir}`,
    );
  }
  return { stateDir: join(runDir, "rt"), exitDir: join(runDir, "x"), bundleDir };
}
