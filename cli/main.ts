#!/usr/bin/env node
/**
 * skein: the command line of a Skein cluster. Edge: to the process and files.
 * `npm run build` packs all its modules into one file and keeps what V8 has compiled of it beside it
 * (scripts/pack-cli.mjs): over node's own start, that takes less than half the time. It is used only when
 * it is not older than the compiled modules, which do the same without it.
 */
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";

type RunSkein = (words: readonly string[]) => Promise<void>;

const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Milliseconds since 1970; 0: there is no such file. */
const changedMs = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** @returns undefined when there is no packed file, or one of before. */
function packed(): RunSkein | undefined {
  const filename = beside("skein.cjs");
  const packedMs = changedMs(filename);
  if (packedMs === 0 || packedMs < changedMs(beside("../.tsbuildinfo"))) return undefined;
  const cache = beside("skein.cache");
  // The file is ASCII. V8 itself refuses what another version of it has compiled, and compiles anew.
  const script = new Script(readFileSync(filename, "latin1"), {
    filename,
    ...(changedMs(cache) < packedMs ? {} : { cachedData: readFileSync(cache) }),
  });
  const define = script.runInThisContext() as (...args: unknown[]) => void; // pack-cli.mjs writes it so
  const module: { exports: { runSkein?: RunSkein } } = { exports: {} };
  define(createRequire(import.meta.url), module, filename);
  return module.exports.runSkein;
}

// A command has ended before most of what V8 would optimise pays: only what runs long is worth it.
// What V8 keeps of its compiling is good for the same flags alone: scripts/pack-cli.mjs has this one, too.
setFlagsFromString("--interrupt-budget=1000000");
const runSkein = packed() ?? (await import("./run-skein.js")).runSkein;
await runSkein(process.argv.slice(2));
