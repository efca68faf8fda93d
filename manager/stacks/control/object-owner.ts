/**
 * Whether an object that has a wanted name may become part of a stack.
 * Pure. Source: the label by which Docker's CLI tells whose an object is.
 */
import { AlreadyExistsError } from "../../../base/errors/errors.js";
import type { Annotations } from "../../../proto/gen/skein/v1/types.js";
import type { ObjectKind } from "./definition-faults.js";
import { stackOf } from "./definition-form.js";

/**
 * @param annotations of the object with that name; undefined: there is none.
 * @throws {AlreadyExistsError} it belongs to another stack, or to none.
 */
export function checkOwner(kind: ObjectKind, annotations: Annotations | undefined, stackName: string): void {
  if (annotations === undefined) return;
  const owner = stackOf(annotations);
  if (owner === stackName) return;
  throw new AlreadyExistsError(
    owner === ""
      ? `a ${kind} named ${annotations.name} is there already and belongs to no stack: ` +
          `remove it, name this one otherwise${kind === "service" ? "" : ", or declare it external"}`
      : `a ${kind} named ${annotations.name} belongs to stack ${owner}`,
  );
}
