/**
 * The lowest layer of every root: the places that a runtime mounts on, and the marks by which programs know
 * that they are in a container. Edge: to the file system.
 * Invariant: it lies below the image, so that the image's own files always show, and what it has is never
 * part of a container's changes, and so of no commit and no build.
 * Source: the names are those of Docker's init layer.
 */
import { existsSync, lstatSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const FOLDERS = ["dev/pts", "dev/shm", "proc", "sys", "etc"];
const FILES = [".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"];
const MTAB = { name: "etc/mtab", target: "/proc/mounts" };

/** Idempotent: a folder that a crash left half made is completed. */
export function makeGroundLayer(folder: string): void {
  for (const name of FOLDERS) mkdirSync(join(folder, name), { recursive: true, mode: 0o755 });
  for (const name of FILES) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    if (!existsSync(path)) writeFileSync(path, "", { mode: 0o755 });
  }
  const mtab = join(folder, MTAB.name);
  // its target is none of the host's: asked without following it
  if (lstatSync(mtab, { throwIfNoEntry: false }) === undefined) symlinkSync(MTAB.target, mtab);
}
