/**
 * An image of 300 MB and 15 000 files in four layers, half of it noise, half text that compresses well; as a
 * docker-archive, the same bytes every time. Edge: to the file system.
 */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { type Pack, pack } from "tar-stream";
import { SeededRandom } from "../base/random/seeded-random.js";

const LAYERS = 4;
const FILES_PER_LAYER = 3_750;
const FILE_BYTES = 20_000;

async function collect(tar: Pack): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer); // tar-stream yields Buffers
  return Buffer.concat(chunks);
}

function layer(number: number, noise: Buffer): Promise<Buffer> {
  const tar = pack();
  const text = Buffer.from("the quick brown goose flies over the lazy swarm; ".repeat(500));
  for (let i = 0; i < FILES_PER_LAYER; i++) {
    const folder = `l${number}/d${Math.floor(i / 100)}`;
    if (i % 100 === 0) tar.entry({ name: `${folder}/`, type: "directory", mode: 0o755, mtime: new Date(0) });
    const from = (i * 4_099 + number * 65_537) % (noise.length - FILE_BYTES);
    const half = FILE_BYTES / 2;
    const content = Buffer.concat([
      noise.subarray(from, from + half),
      text.subarray(i % 49, (i % 49) + half),
    ]);
    tar.entry({ name: `${folder}/f${i}`, mode: 0o644, mtime: new Date(0) }, content);
  }
  tar.finalize();
  return collect(tar);
}

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Writes the archive; it is loaded as `name`. */
export async function writeBigImage(path: string, name: string): Promise<void> {
  const random = new SeededRandom(7);
  const noise = Buffer.from(random.bytes(16 * 2 ** 20));
  const file = createWriteStream(path);
  const archive = pack();
  archive.pipe(file);
  const diffIds: string[] = [];
  for (let i = 0; i < LAYERS; i++) {
    const bytes = await layer(i, noise);
    diffIds.push(`sha256:${digest(bytes)}`);
    archive.entry({ name: `${i}.tar` }, bytes);
  }
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      os: "linux",
      config: { Cmd: ["true"] },
      rootfs: { type: "layers", diff_ids: diffIds },
    }),
  );
  const configName = `${digest(config)}.json`;
  archive.entry({ name: configName }, config);
  const layers = diffIds.map((_, i) => `${i}.tar`);
  archive.entry(
    { name: "manifest.json" },
    JSON.stringify([{ Config: configName, RepoTags: [name], Layers: layers }]),
  );
  archive.finalize();
  await finished(file);
}
