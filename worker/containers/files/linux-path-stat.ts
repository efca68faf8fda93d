/**
 * What HEAD /containers/{id}/archive tells of a path. Edge: to the file system through a root view.
 * Source: Docker Engine API (X-Docker-Container-Path-Stat); Go's os.FileMode.
 */
import type { Stats } from "node:fs";
import { closeSync } from "node:fs";
import type { PathStat } from "../../../proto/engine/files.js";
import { bytesOf, PathError, type Place, partsOf, type RootView, textOf } from "./linux-root-view.js";

const GO_MODE = {
  dir: 2 ** 31,
  symlink: 2 ** 27,
  device: 2 ** 26,
  namedPipe: 2 ** 25,
  socket: 2 ** 24,
  setuid: 2 ** 23,
  setgid: 2 ** 22,
  charDevice: 2 ** 21,
  sticky: 2 ** 20,
} as const;

const TYPES: ReadonlyMap<number, number> = new Map([
  [0o040000, GO_MODE.dir],
  [0o120000, GO_MODE.symlink],
  [0o060000, GO_MODE.device],
  [0o020000, GO_MODE.device + GO_MODE.charDevice],
  [0o010000, GO_MODE.namedPipe],
  [0o140000, GO_MODE.socket],
]);

/** @returns type bits and permissions as Go has them. */
export function goModeOf(stats: Pick<Stats, "mode">): number {
  const { mode } = stats;
  return (
    (TYPES.get(mode & 0o170000) ?? 0) +
    (mode & 0o4000 ? GO_MODE.setuid : 0) +
    (mode & 0o2000 ? GO_MODE.setgid : 0) +
    (mode & 0o1000 ? GO_MODE.sticky : 0) +
    (mode & 0o777)
  );
}

/**
 * Finds what a path of a request means: its last name is not followed, unless the path ends in "/" or "/.".
 * @throws errno errors. The caller closes the folder.
 */
export function locate(view: RootView, path: string): Place {
  const bytes = bytesOf(path);
  if (!endsAsFolder(path)) return view.resolve(bytes);
  return { folder: view.resolveFolder(bytes), name: "" };
}

/** The name at the top of the tar, and in the stat: Go's path.Base of the path as asked for. */
export function baseNameOf(path: string): string {
  if (partsOf(path).length === 0) return /\/\.$|^\.$/.test(path) ? "." : "/";
  return /\/\.$/.test(path) ? "." : (path.replace(/\/+$/, "").split("/").at(-1) ?? "");
}

export function statPath(view: RootView, path: string): PathStat {
  const { folder, name } = locate(view, path);
  try {
    return pathStatOf(view, { folder, name }, path);
  } finally {
    closeSync(folder.fd);
  }
}

export function pathStatOf(view: RootView, { folder, name }: Place, path: string): PathStat {
  const stats = view.stat(folder, name);
  return {
    name: baseNameOf(path),
    sizeBytes: stats.size,
    goMode: goModeOf(stats),
    modifiedMs: stats.mtimeMs,
    linkTarget: stats.isSymbolicLink() ? `/${textOf(targetOf(view, path))}` : "",
  };
}

/** A link that leads in circles has no target. */
function targetOf(view: RootView, path: string): string {
  try {
    return view.canonical(bytesOf(path));
  } catch (error) {
    if (error instanceof PathError && error.code === "ELOOP") return "";
    throw error;
  }
}

function endsAsFolder(path: string): boolean {
  return /(^|\/)\.?$/.test(path);
}
