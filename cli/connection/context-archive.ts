/**
 * A context as a tar archive, in docker's layout: meta.json and tls/docker/{ca,cert,key}.pem. Edge: to files.
 * Bound: an archive of 10 MiB; what is neither of those files is refused. What it holds is secret: the
 * file is made 0600, and never over one that is there.
 */
import { writeFileSync } from "node:fs";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { extract, pack } from "tar-stream";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import { addressOf } from "./endpoint.js";
import { metaOf, metaText, type StoredContext, TLS_FILES, type TlsFile } from "./fs-context-store.js";

const ARCHIVE_BYTES_MAX = 10 * 1024 * 1024;

async function archiveOf(context: StoredContext): Promise<Buffer> {
  const archive = pack();
  archive.entry({ name: "meta.json", mode: 0o644 }, metaText(context));
  for (const kind of TLS_FILES) {
    const pem = context.tls[kind];
    if (pem !== undefined) archive.entry({ name: `tls/docker/${kind}.pem`, mode: 0o600 }, pem);
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer); // no encoding is set
  return Buffer.concat(chunks);
}

/** @returns the path. @throws {InvalidArgumentError} a file that is there already, a terminal. */
export async function exportContext(context: StoredContext, path: string): Promise<string> {
  const archive = await archiveOf(context);
  if (path === "-") {
    if (process.stdout.isTTY)
      throw new InvalidArgumentError("standard output is a terminal: redirect it, or name a file");
    process.stdout.write(archive);
    return path;
  }
  try {
    writeFileSync(path, archive, { mode: 0o600, flag: "wx" });
  } catch (error) {
    throw new InvalidArgumentError(`cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
  return path;
}

/** @throws {InvalidArgumentError} no such archive, too large, or with an address that is none. */
export async function importContext(bytes: Buffer): Promise<Omit<StoredContext, "from">> {
  let meta: Omit<StoredContext, "tls" | "from"> | undefined;
  const tls: Partial<Record<TlsFile, Buffer>> = {};
  let total = 0;
  const reader = extract();
  const source = Readable.from([bytes]);
  if (bytes[0] === 0x1f && bytes[1] === 0x8b)
    source
      .pipe(createGunzip())
      .on("error", (error) => reader.destroy(error))
      .pipe(reader);
  else source.pipe(reader);
  try {
    for await (const entry of reader) {
      const chunks: Buffer[] = [];
      for await (const chunk of entry) {
        total += (chunk as Buffer).length; // no encoding is set
        if (total > ARCHIVE_BYTES_MAX)
          throw new InvalidArgumentError(`an archive of a context may have ${ARCHIVE_BYTES_MAX} bytes`);
        chunks.push(chunk as Buffer);
      }
      const { name, type } = entry.header;
      const kind = TLS_FILES.find((each) => name === `tls/docker/${each}.pem`);
      if (name === "meta.json") meta = metaOf(Buffer.concat(chunks).toString("utf8"), "meta.json");
      else if (kind !== undefined) tls[kind] = Buffer.concat(chunks);
      else if (type !== "directory")
        throw new InvalidArgumentError(
          `${JSON.stringify(name)} does not belong into an archive of a context`,
        );
    }
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw error;
    throw new InvalidArgumentError(`this is no archive of a context: ${messageOf(error)}`, { cause: error });
  }
  if (meta === undefined)
    throw new InvalidArgumentError("this is no archive of a context: meta.json is missing");
  addressOf(meta.host, false, "the host of the context");
  return { ...meta, tls };
}
