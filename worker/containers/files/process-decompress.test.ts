/**
 * Archives in every compression that docker cp sends, and bombs.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { InvalidArgumentError, TooLargeError } from "../../../base/errors/errors.js";
import { plainTar } from "./process-decompress.js";

async function* chunks(bytes: Buffer, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

const plain = Buffer.from("plain as it is ".repeat(20_000));

for (const command of ["gzip", "bzip2", "xz", "zstd"]) {
  test(`${command} is told by its first bytes and read`, async () => {
    const packed = execFileSync(command, ["-c"], { input: plain });
    assert.ok((await collect(plainTar(chunks(packed)))).equals(plain));
    assert.ok((await collect(plainTar(chunks(packed, 1)))).equals(plain), "byte by byte");
  });

  test(`${command} that is damaged is refused`, async () => {
    const packed = execFileSync(command, ["-c"], { input: plain });
    const damaged = packed.subarray(0, packed.length - 20);
    await assert.rejects(collect(plainTar(chunks(damaged))), InvalidArgumentError);
  });
}

test("what is not compressed, or is too short to tell, passes as it is", async () => {
  for (const bytes of [plain, Buffer.from("ab"), Buffer.alloc(0)])
    assert.ok((await collect(plainTar(chunks(bytes)))).equals(bytes));
});

test("an archive that unpacks without end is cut off at its bound", async () => {
  const bomb = gzipSync(Buffer.alloc(20_000_000));
  const bytesMax = (bytes: number): number => 100_000 + 100 * bytes;
  await assert.rejects(collect(plainTar(chunks(bomb), { bytesMax })), TooLargeError);
  const viaCommand = execFileSync("zstd", ["-c"], { input: Buffer.alloc(20_000_000) });
  await assert.rejects(collect(plainTar(chunks(viaCommand), { bytesMax })), TooLargeError);
});

test("a client that fails is told as it failed", async () => {
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield* chunks(gzipSync(plain).subarray(0, 200));
    throw new TooLargeError("the client's own words");
  }
  await assert.rejects(collect(plainTar(failing())), { message: "the client's own words" });
});
