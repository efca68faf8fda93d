/**
 * Compares the corpus of Dockerfiles between a skeind and a dockerd, and writes what is expected.
 * Edge: the command line. Called by hand:
 *   node dist/test/support/build-corpus-main.js SKEIND.sock SKEIND-DATA DOCKERD.sock [WRITE-HERE]
 * Exit code 1: they differ.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { BASE, CORPUS } from "./build-corpus.js";
import { type BuildOutcome, buildCase, call, importBase } from "./build-peer.js";
import { busyboxRootfs } from "./lab/busybox-image.js";

const [ours, data, theirs, file] = process.argv.slice(2);
if (ours === undefined || data === undefined || theirs === undefined)
  throw new Error("usage: build-corpus-main SKEIND.sock SKEIND-DATA DOCKERD.sock [WRITE-HERE]");
const rootfs = await busyboxRootfs();
const sockets = [ours, theirs];
for (const socket of sockets) await importBase(socket, rootfs, BASE);
const expected: Record<string, BuildOutcome> = {};
let differing = 0;
for (const one of CORPUS) {
  const mine = await buildCase({ socketPath: ours, imagesDir: join(data, "images") }, one);
  const other = one.newer === true ? mine : await buildCase({ socketPath: theirs }, one);
  expected[one.name] = mine;
  if (isDeepStrictEqual(mine, other)) continue;
  differing += 1;
  process.stdout.write(
    `${one.name}:\n  skeind  ${JSON.stringify(mine)}\n  dockerd ${JSON.stringify(other)}\n`,
  );
}
for (const socket of sockets)
  for (const name of [...CORPUS.flatMap(({ tag }) => tag ?? []), BASE])
    await call(socket, "DELETE", `/v1.41/images/${name}?force=1`);
if (file !== undefined) writeFileSync(file, `${JSON.stringify(expected, undefined, 1)}\n`);
process.stdout.write(`${CORPUS.length} builds, ${differing} differ\n`);
process.exitCode = differing === 0 ? 0 : 1;
