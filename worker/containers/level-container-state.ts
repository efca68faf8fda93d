/**
 * Container records on disk. Edge: to `level`; the only door to it in this folder.
 * Invariant: writes of one container land in call order; a damaged record is an error,
 * never silently skipped.
 */
import { Level } from "level";
import { DataLossError } from "../../base/errors/errors.js";
import type { ContainerState, StoredContainer } from "./stored-container.js";

/** @param folder made when missing. @throws when another process holds it open. */
export async function openLevelContainerState(folder: string): Promise<ContainerState> {
  const db = new Level<string, string>(folder, { keyEncoding: "utf8", valueEncoding: "utf8" });
  await db.open();
  return {
    async load() {
      const found: StoredContainer[] = [];
      for await (const [key, value] of db.iterator()) found.push(parse(key, value));
      return found;
    },
    save: (container) => db.put(container.record.id, JSON.stringify(container)),
    delete: (id) => db.del(id),
    close: () => db.close(),
  };
}

function parse(key: string, text: string): StoredContainer {
  try {
    const value: unknown = JSON.parse(text);
    // written by `save` alone
    if (typeof value === "object" && value !== null && "record" in value) return value as StoredContainer;
  } catch (error) {
    throw new DataLossError(`record of container ${key} is damaged`, { cause: error });
  }
  throw new DataLossError(`record of container ${key} is damaged: no record in it`);
}
