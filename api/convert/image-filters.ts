/**
 * Which images a list or a prune means. Pure.
 * Source: Docker Engine API, GET /images/json and POST /images/prune; observed rules for nameless images.
 */
import { InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import type { ImageRecord } from "../../proto/engine/images.js";
import type { Filters } from "../filters.js";
import { familiarName } from "./image-names.js";
import { labelsMatch, untilOf } from "./prune-filters.js";

export const LIST_FILTERS = ["before", "dangling", "label", "label!", "reference", "since", "until"];
export const PRUNE_FILTERS = ["dangling", "label", "label!", "until"];

export interface ImageFilterWorld {
  readonly find: (reference: string) => ImageRecord | undefined;
  readonly hasChildren: (imageId: string) => boolean;
  readonly nowMs: number;
}

/** @throws {InvalidArgumentError} a value; {NotFoundError} the image of before or since. */
export function imagesListed(
  images: readonly ImageRecord[],
  filters: Filters,
  options: ImageFilterWorld & { all: boolean },
): readonly ImageRecord[] {
  const dangling = danglingOf(filters);
  const beforeMs = createdOf(filters.get("before"), options);
  const sinceMs = createdOf(filters.get("since"), options);
  const untilMs = untilOf(filters, options.nowMs);
  const references = filters.get("reference");
  return images
    .filter((image) => {
      if (beforeMs !== undefined && image.createdMs >= beforeMs) return false;
      if (sinceMs !== undefined && image.createdMs <= sinceMs) return false;
      if (untilMs !== undefined && image.createdMs >= untilMs) return false;
      if (!labelsMatch(filters, image.config.labels)) return false;
      if (image.repoTags.length === 0 && image.repoDigests.length === 0) {
        // Those below others are the steps of builds: shown when all are asked for.
        if (!options.all && options.hasChildren(image.id)) return false;
        return dangling !== false && references === undefined;
      }
      if (dangling === true) return image.repoTags.length === 0 && references === undefined;
      return references === undefined || namesOf(image).some((name) => matchesAny(name, references));
    })
    .sort((a, b) => b.createdMs - a.createdMs || (a.id < b.id ? -1 : 1));
}

/** "dangling": 1, 0, true, false. @throws {InvalidArgumentError} in Docker's words. */
export function danglingOf(filters: Filters): boolean | undefined {
  const values = filters.get("dangling");
  if (values === undefined || values.length === 0) return undefined;
  const isTrue = values.some((value) => ["1", "true"].includes(value));
  const isFalse = values.some((value) => ["0", "false"].includes(value));
  if (isTrue === isFalse) throw new InvalidArgumentError(`invalid filter 'dangling=[${values.join(" ")}]'`);
  return isTrue;
}

function createdOf(values: readonly string[] | undefined, world: ImageFilterWorld): number | undefined {
  const [reference] = values ?? [];
  if (reference === undefined) return undefined;
  const image = world.find(reference);
  if (image === undefined) {
    const name = reference.includes(":") || reference.includes("@") ? reference : `${reference}:latest`;
    throw new NotFoundError(`No such image: ${name}`);
  }
  return image.createdMs;
}

function namesOf(image: ImageRecord): readonly string[] {
  return [...image.repoTags, ...image.repoDigests].map(familiarName);
}

export function matchesAny(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => matchesReference(name, pattern));
}

/** A shell pattern against "web:latest" or "web" alone; * and ? stop at slashes. */
function matchesReference(name: string, pattern: string): boolean {
  const at = name.indexOf("@");
  const colon = at >= 0 ? at : name.lastIndexOf(":");
  const bare = colon > name.lastIndexOf("/") ? name.slice(0, colon) : name;
  const expression = globOf(pattern);
  return expression.test(name) || expression.test(bare);
}

/** @throws {InvalidArgumentError} in Go's words. */
function globOf(pattern: string): RegExp {
  let text = "";
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern[at] ?? "";
    if (character === "*") text += "[^/]*";
    else if (character === "?") text += "[^/]";
    else if (character === "[") {
      const end = pattern.indexOf("]", at + 2);
      if (end < 0) throw new InvalidArgumentError("syntax error in pattern");
      const inside = pattern.slice(at + 1, end).replace(/[\\\]]/g, "\\$&");
      text += `[${inside}]`;
      at = end;
    } else if (character === "\\") {
      at += 1;
      text += (pattern[at] ?? "").replace(/[.+^${}()|[\]\\*?]/g, "\\$&");
    } else text += character.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  }
  try {
    return new RegExp(`^${text}$`, "u");
  } catch (error) {
    throw new InvalidArgumentError("syntax error in pattern", { cause: error });
  }
}
