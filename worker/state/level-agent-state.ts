/**
 * The agent's state on disk. Edge: to `level`.
 * Keys: `r/<kind>/<id>` resources, `t/<task id>` statuses, `s` the session, `v` the revision.
 * Values are protobuf.
 * Invariant: one batch per change, so that a crash leaves the state before or after it.
 * Not synced to the disk: what matters is a crash of the daemon, and after a crash of the machine no
 * container is left to adopt.
 */
import { mkdir } from "node:fs/promises";
import type { Level } from "level";
import { DataLossError } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { NodeResource, SessionUpdate, TaskStatusUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import { keyOf, keyText } from "../agent/assignment-book.js";
import { type AgentState, type SavedAgent, type SavedChanges, storable } from "./agent-state.js";

type Database = Level<string, Uint8Array>;
type Operation = { type: "put"; key: string; value: Uint8Array } | { type: "del"; key: string };

/**
 * @param options.path folder of the database, made for root alone.
 * @throws what `level` throws when it cannot be opened.
 */
export async function openLevelAgentState(options: { path: string; log: Logger }): Promise<AgentState> {
  await mkdir(options.path, { recursive: true, mode: 0o700 });
  const { Level } = await import("level");
  const database: Database = new Level(options.path, { keyEncoding: "utf8", valueEncoding: "view" });
  await database.open();
  return new LevelAgentState(database, options.log);
}

function decoded<T>(key: string, decode: (bytes: Uint8Array) => T, bytes: Uint8Array): T {
  try {
    return decode(bytes);
  } catch (error) {
    throw new DataLossError(`agent state: the record ${key} cannot be read`, { cause: error });
  }
}

class LevelAgentState implements AgentState {
  readonly #database: Database;
  readonly #log: Logger;

  constructor(database: Database, log: Logger) {
    this.#database = database;
    this.#log = log;
  }

  async load(): Promise<SavedAgent> {
    const resources: NodeResource[] = [];
    const statuses: TaskStatusUpdate[] = [];
    let session: SessionUpdate | undefined;
    let revision = 0;
    for await (const [key, value] of this.#database.iterator()) {
      try {
        if (key.startsWith("r/")) resources.push(decoded(key, NodeResource.decode, value));
        else if (key.startsWith("t/")) statuses.push(decoded(key, TaskStatusUpdate.decode, value));
        else if (key === "s") session = decoded(key, SessionUpdate.decode, value);
        else if (key === "v") revision = Number(Buffer.from(value).toString("utf8"));
      } catch (error) {
        // The manager tells it all again; a container whose task is not known is then judged by the first
        // whole set.
        this.#log.error("record of the agent's state is skipped", { key, error: String(error) });
      }
    }
    return { revision, resources, statuses, managers: session?.managers ?? [], node: session?.node };
  }

  async saveResources(changes: SavedChanges): Promise<void> {
    const operations: Operation[] = [];
    if (changes.complete) {
      for await (const key of this.#database.keys({ gte: "r/", lt: "r0" }))
        operations.push({ type: "del", key });
    }
    for (const key of changes.removals) operations.push({ type: "del", key: `r/${key}` });
    for (const upsert of changes.upserts) {
      const key = keyOf(upsert);
      const resource = storable(upsert);
      if (key === undefined || resource === undefined) continue;
      operations.push({
        type: "put",
        key: `r/${keyText(key)}`,
        value: NodeResource.encode(resource).finish(),
      });
    }
    operations.push({ type: "put", key: "v", value: Buffer.from(String(changes.revision)) });
    await this.#database.batch(operations);
  }

  async saveStatuses(updates: readonly TaskStatusUpdate[]): Promise<void> {
    await this.#database.batch(
      updates.map((update) => ({
        type: "put",
        key: `t/${update.taskId}`,
        value: TaskStatusUpdate.encode(update).finish(),
      })),
    );
  }

  async removeStatus(taskId: string): Promise<void> {
    await this.#database.del(`t/${taskId}`);
  }

  async saveSession(session: Pick<SavedAgent, "managers" | "node">): Promise<void> {
    const update = SessionUpdate.fromPartial({ managers: [...session.managers], node: session.node });
    await this.#database.put("s", SessionUpdate.encode(update).finish());
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}
