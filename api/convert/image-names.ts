/**
 * Names of images as people write them. Pure.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

/** Docker shows names without the default registry. */
export function familiarName(reference: string): string {
  return reference.replace(/^docker\.io\/(library\/)?/, "");
}

/** @throws {InvalidArgumentError} capitals in the repository's name. */
export function checkRepositoryCase(reference: string): void {
  const name = reference.replace(/[@:][^/]*$/, "");
  const repository = name.includes("/") ? name.slice(name.indexOf("/") + 1) : `library/${name}`;
  if (/[A-Z]/.test(repository))
    throw new InvalidArgumentError(
      `invalid reference format: repository name (${repository}) must be lowercase`,
    );
}
