/**
 * The history of an image: the lines of its configuration, with the sizes of the layers they made.
 * Pure. Source: OCI image-spec 1.1 config.md; Docker Engine API, GET /images/{name}/history.
 */
import { asObject, type JsonObject } from "./image-manifest.js";
import type { ImageHistoryEntry } from "./image-store.js";

export type SizedHistoryEntry = ImageHistoryEntry & { readonly sizeBytes: number };

/** Lines of one image that are looked at; no image has more. */
const LINES_MAX = 2_000;

/** @param layerBytes of the layers, lowest first. @returns oldest first. */
export function historyOf(document: JsonObject, layerBytes: readonly number[]): readonly SizedHistoryEntry[] {
  const lines = Array.isArray(document["history"]) ? document["history"].slice(0, LINES_MAX) : [];
  // Some images have layers without a line: the lines there are speak of the topmost.
  const speaking = lines.filter((line) => asObject(line)?.["empty_layer"] !== true).length;
  let position = Math.max(0, layerBytes.length - speaking);
  return lines.map((value) => {
    const line = asObject(value) ?? {};
    const emptyLayer = line["empty_layer"] === true;
    const sizeBytes = emptyLayer ? 0 : (layerBytes[position] ?? 0);
    if (!emptyLayer) position += 1;
    const createdMs = Date.parse(textOf(line["created"]));
    return {
      createdMs: Number.isFinite(createdMs) ? createdMs : 0,
      createdBy: textOf(line["created_by"]),
      author: textOf(line["author"]),
      comment: textOf(line["comment"]),
      emptyLayer,
      sizeBytes,
    };
  });
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
