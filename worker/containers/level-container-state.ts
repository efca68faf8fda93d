/**
 * Container records on disk. Edge: to `level`; the only door to it in this folder.
 * Invariant: writes of one container land in call order; a damaged record is an error,
 * never silently skipped.
 */
import { chmod, mkdir } from "node:fs/promises";
import { Level } from "level";
import { DataLossError } from "../../base/errors/errors.js";
import { KeyedLock } from "../images/keyed-lock.js";
import type { ContainerState, StoredContainer } from "./stored-container.js";

/** @param folder made when missing. @throws when another process holds it open. */
export async function openLevelContainerState(folder: string): Promise<ContainerState> {
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o700); // the environment of a container often holds passwords
  const db = new Level<string, string>(folder, { keyEncoding: "utf8", valueEncoding: "utf8" });
  await db.open();
  const order = new KeyedLock(); // two writes that are under way at once may land either way round
  return {
    async load() {
      const found: StoredContainer[] = [];
      for await (const [key, value] of db.iterator()) found.push(parse(key, value));
      return found;
    },
    save: (container) => {
      const text = JSON.stringify(container, bytesAsText);
      return order.run(container.record.id, () => db.put(container.record.id, text));
    },
    delete: (id) => order.run(id, () => db.del(id)),
    close: () => db.close(),
  };
}

/** A custom seccomp profile is bytes, which JSON has not. */
function bytesAsText(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? { $base64: Buffer.from(value).toString("base64") } : value;
}

function textAsBytes(_key: string, value: unknown): unknown {
  const isBytes = typeof value === "object" && value !== null && "$base64" in value;
  return isBytes ? new Uint8Array(Buffer.from(String(value.$base64), "base64")) : value;
}

function parse(key: string, text: string): StoredContainer {
  try {
    const value: unknown = JSON.parse(text, textAsBytes);
    // written by `save` alone
    if (typeof value === "object" && value !== null && "record" in value) return value as StoredContainer;
  } catch (error) {
    throw new DataLossError(`record of container ${key} is damaged`, { cause: error });
  }
  throw new DataLossError(`record of container ${key} is damaged: no record in it`);
}
