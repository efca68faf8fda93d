/**
 * A tar as a client sends it, made plain. Edge: to zlib, and to the commands bzip2, xz and zstd.
 * Invariant: what comes out is bounded by what came in (EXPANSION_BYTES and EXPANSION_FACTOR): a small
 * archive cannot fill a disk. A plain tar passes as it is.
 */
import { spawn } from "node:child_process";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import {
  FailedPreconditionError,
  InvalidArgumentError,
  messageOf,
  SkeinError,
  TooLargeError,
} from "../../../base/errors/errors.js";
import { HELPER_ENV } from "../../runtime/process-run.js";

/** Bytes that any compressed archive may unpack to, */
const EXPANSION_BYTES = 16 * 2 ** 30;
/** and so many more for each byte of it. */
const EXPANSION_FACTOR = 100;
const GUNZIP_CHUNK_BYTES = 1 << 18;
const WORDS_MAX = 500;

const MAGIC: readonly (readonly [kind: string, bytes: readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b, 0x08]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
];
const MAGIC_BYTES = 6;

export interface DecompressOptions {
  /** @default 16 GiB and 100 bytes for each one that came in */
  readonly bytesMax?: (compressedBytes: number) => number;
}

/** @throws {InvalidArgumentError} damaged; {TooLargeError} a bomb; {FailedPreconditionError} no such command. */
export async function* plainTar(
  source: AsyncIterable<Uint8Array>,
  options: DecompressOptions = {},
): AsyncGenerator<Uint8Array> {
  const bytesMax = options.bytesMax ?? ((bytes) => EXPANSION_BYTES + EXPANSION_FACTOR * bytes);
  const iterator = source[Symbol.asyncIterator]();
  let bytesIn = 0;
  try {
    let first = Buffer.alloc(0);
    while (first.length < MAGIC_BYTES) {
      const next = await iterator.next();
      if (next.done === true) break;
      first = Buffer.concat([first, next.value]);
    }
    const all = (async function* (): AsyncGenerator<Uint8Array> {
      bytesIn += first.length;
      if (first.length > 0) yield first;
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
        bytesIn += next.value.length;
        yield next.value;
      }
    })();
    const kind = MAGIC.find(([, bytes]) => bytes.every((byte, index) => first[index] === byte))?.[0];
    if (kind === undefined) {
      yield* all;
      return;
    }
    let bytesOut = 0;
    for await (const chunk of kind === "gzip" ? gunzipped(all) : throughCommand(kind, all)) {
      bytesOut += chunk.length;
      if (bytesOut > bytesMax(bytesIn))
        throw new TooLargeError(`the archive unpacks to more than ${bytesMax(bytesIn)} bytes`);
      yield chunk;
    }
  } finally {
    await iterator.return?.();
  }
}

async function* gunzipped(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: GUNZIP_CHUNK_BYTES });
  const fed = outcome(pipeline(source, gunzip));
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) yield chunk;
  } catch (error) {
    const cause = await fed;
    if (cause instanceof SkeinError) throw cause;
    throw new InvalidArgumentError(`gzip: ${messageOf(error)}`, { cause: error });
  } finally {
    gunzip.destroy();
    await fed;
  }
}

async function* throughCommand(kind: string, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const child = spawn(kind, ["-dc"], { stdio: ["pipe", "pipe", "pipe"], env: HELPER_ENV });
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString("utf8")).slice(0, WORDS_MAX);
  });
  const ended = new Promise<number | Error>((resolve) => {
    child.once("error", resolve);
    child.once("close", (code) => resolve(code ?? -1));
  });
  const fed = outcome(pipeline(source, child.stdin));
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) yield chunk;
    const result = await ended;
    if (result instanceof Error) {
      const rule = `the archive is compressed with ${kind}, and the command ${kind} is not installed on this node`;
      throw new FailedPreconditionError(rule, { cause: result });
    }
    if (result !== 0)
      throw new InvalidArgumentError(
        `the archive is damaged: ${words.trim() || `${kind} ended with ${result}`}`,
      );
    const feedError = await fed;
    if (feedError !== undefined) throw feedError;
  } finally {
    child.kill("SIGKILL");
    await fed;
  }
}

/** The outcome as a value, for a side task whose error is looked at later. */
function outcome(task: Promise<void>): Promise<unknown> {
  return task.then(
    () => undefined,
    (error: unknown) => error,
  );
}
