/**
 * The tag option of log drivers: text with places for what a container is. Pure.
 * Source: Docker's "Customize log driver output".
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import type { ContainerRecord } from "../../../proto/engine/containers.js";

type Tagged = Pick<ContainerRecord, "id" | "name" | "imageId" | "specification">;

const PLACES: Readonly<Record<string, (container: Tagged) => string>> = {
  ID: ({ id }) => id.slice(0, 12),
  FullID: ({ id }) => id,
  Name: ({ name }) => name,
  ImageID: ({ imageId }) => imageId.replace(/^sha256:/, "").slice(0, 12),
  ImageFullID: ({ imageId }) => imageId,
  ImageName: ({ specification }) => specification.image,
  DaemonName: () => "docker",
};
const PLACE = /\{\{-?\s*\.(\w+)\s*-?\}\}/g;

/** @throws {InvalidArgumentError} a place that there is not, or a template that is more than places. */
export function parseTag(template: string): (container: Tagged) => string {
  for (const [, name = ""] of template.matchAll(PLACE)) {
    if (PLACES[name] === undefined) {
      throw new InvalidArgumentError(
        `failed to initialize logging driver: template: log-tag: executing "log-tag" at <.${name}>: ` +
          `can't evaluate field ${name} in type *logger.Info`,
      );
    }
  }
  if (template.replace(PLACE, "").includes("{{"))
    throw new InvalidArgumentError(
      `tag ${JSON.stringify(template)}: only places such as {{.Name}} are supported`,
    );
  return (container) => template.replace(PLACE, (_, name: string) => PLACES[name]?.(container) ?? "");
}
