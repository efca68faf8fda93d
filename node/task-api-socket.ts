/**
 * Where tasks that ask for it reach the node's API: a socket in a folder of its own, which is mounted into
 * them. The folder outlives the daemon as they do, and nothing else is in it. Pure.
 */
import { join } from "node:path";
import type { ApiListener } from "../api/http-listeners.js";
import type { DaemonOptions } from "./daemon-options.js";

/** Of a unix socket's name, in bytes. Source: unix(7). */
const SOCKET_PATH_BYTES_MAX = 107;

/** undefined: the path of the run folder is too long for one. */
export function apiSocketDir(runDir: string): string | undefined {
  const dir = join(runDir, "api");
  return Buffer.byteLength(join(dir, "skein.sock")) > SOCKET_PATH_BYTES_MAX ? undefined : dir;
}

/** Where the API listens: as the options say, and for tasks. */
export function withTaskListener({
  listeners,
  runDir,
}: Pick<DaemonOptions, "listeners" | "runDir">): readonly ApiListener[] {
  const dir = apiSocketDir(runDir);
  const path = dir === undefined ? undefined : join(dir, "skein.sock");
  const isThere = listeners.some((listener) => listener.kind === "unix" && listener.path === path);
  return path === undefined || isThere ? listeners : [...listeners, { kind: "unix", path }];
}
