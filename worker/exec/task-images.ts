/**
 * Images that a task needs on its node: its own, and those it mounts. Pure.
 * Invariant: credentials go to the registry of the task's own image, and to no other.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { parseReference } from "../images/image-reference.js";
import type { WantedImage } from "./image-puller.js";

/** @throws {InvalidArgumentError} a name of an image that is none. */
export function wantedImages(task: Task): readonly WantedImage[] {
  const { image = "", pullAuth = "", mounts = [], host } = task.spec?.container ?? {};
  const policy = host?.pullPolicy ?? "";
  const mounted = mounts.filter(({ type }) => type === "image").map(({ source }) => source);
  const authFor = (reference: string): string =>
    pullAuth !== "" && parseReference(reference).domain === parseReference(image).domain ? pullAuth : "";
  return [
    { reference: image, auth: pullAuth, policy },
    ...mounted.map((reference) => ({ reference, auth: authFor(reference), policy })),
  ];
}
