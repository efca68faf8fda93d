#!/usr/bin/env node
/**
 * skein: the command line of a Skein cluster. Edge: to the process and files.
 * `npm run build` packs all its modules into one file and keeps what V8 has compiled of it beside it
 * (scripts/pack-cli.mjs): over node's own start, that takes less than half the time.
 * Invariant: what runs is what the modules say. The packed file is used only while each of them is as it was
 * when it was packed, by size and time, or else by content; without it they do the same.
 */
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";

type RunSkein = (words: readonly string[]) => Promise<void>;

/** First line of the packed file, as JSON behind "//". */
interface Packing {
  /** The cache begins with it, and belongs to no other packed file. */
  readonly id: string;
  /** Path from here, bytes, time of change in ms since 1970, SHA-256 in hex. */
  readonly files: readonly (readonly [path: string, bytes: number, changedMs: number, hash: string])[];
}

const require = createRequire(import.meta.url);
const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

function hashOf(path: string): string {
  const { createHash } = require("node:crypto") as typeof import("node:crypto"); // 3 ms, seldom needed
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** A module that is not there is no newer one. */
function isUnchanged([name, bytes, changedMs, hash]: Packing["files"][number]): boolean {
  const path = beside(name);
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return true;
  return stats.size === bytes && (stats.mtimeMs === changedMs || hashOf(path) === hash);
}

interface Packed {
  readonly source: string;
  readonly cachedData?: Buffer;
}

/** @returns undefined when there is no packed file, one of before, or one that may not be read. */
function readPacked(filename: string): Packed | undefined {
  try {
    const source = readFileSync(filename, "latin1"); // it is ASCII
    const packing = JSON.parse(source.slice(2, source.indexOf("\n"))) as Packing; // pack-cli.mjs writes it so
    if (!packing.files.every(isUnchanged)) return undefined;
    const cache = beside("skein.cache");
    if (statSync(cache, { throwIfNoEntry: false }) === undefined) return { source };
    const bytes = readFileSync(cache);
    const { length } = packing.id;
    return bytes.toString("latin1", 0, length) === packing.id
      ? { source, cachedData: bytes.subarray(length) }
      : { source };
  } catch {
    return undefined; // the modules tell what is wrong, if anything is
  }
}

function packed(): RunSkein | undefined {
  const filename = beside("skein.cjs");
  if (statSync(filename, { throwIfNoEntry: false }) === undefined) return undefined;
  const found = readPacked(filename);
  if (found === undefined) return undefined;
  const { source, ...cached } = found;
  // V8 itself refuses what another version of it has compiled, and compiles anew.
  const script = new Script(source, { filename, ...cached });
  const define = script.runInThisContext() as (...args: unknown[]) => void; // pack-cli.mjs writes it so
  const module: { exports: { runSkein?: RunSkein } } = { exports: {} };
  define(require, module, filename);
  return module.exports.runSkein;
}

// A command has ended before most of what V8 would optimise pays: only what runs long is worth it.
// What V8 keeps of its compiling is good for the same flags alone: scripts/pack-cli.mjs has this one, too.
setFlagsFromString("--interrupt-budget=1000000");
const runSkein = packed() ?? (await import("./run-skein.js")).runSkein;
await runSkein(process.argv.slice(2));
