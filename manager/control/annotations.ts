/**
 * Rules for names and labels.
 * Pure. Source: the patterns Docker documents and enforces for services, networks, secrets and configs.
 */
import { AbortedError, InvalidArgumentError } from "../../base/errors/errors.js";
import type { Node, Service } from "../../proto/gen/skein/v1/objects.js";
import type { Annotations } from "../../proto/gen/skein/v1/types.js";
import { versionOf } from "../store/tables.js";
import type { TableName, Tables } from "../store/types.js";

/** One way to read each name: an ambiguous pattern takes exponential time for names that do not match. */
const DNS_NAME = /^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9])*$/;
const FILE_NAME = /^[a-zA-Z0-9]+(?:[a-zA-Z0-9\-_.]*[a-zA-Z0-9])?$/;
const NETWORK_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** Bytes of all label keys and values of one object. */
const LABEL_BYTES_MAX = 256 * 1024;

/** Service names become host names. @throws {InvalidArgumentError} */
export function checkServiceName(annotations: Annotations | undefined): void {
  const name = requiredName(annotations, "service");
  if (name.length > 63)
    throw new InvalidArgumentError(`name must be 63 characters or fewer, got ${name.length}`);
  if (!DNS_NAME.test(name))
    throw new InvalidArgumentError(`name must be valid as a DNS name component, got "${name}"`);
}

/** @throws {InvalidArgumentError} */
export function checkNetworkName(annotations: Annotations | undefined): void {
  const name = requiredName(annotations, "network");
  if (!NETWORK_NAME.test(name) || name.length > 128) {
    throw new InvalidArgumentError(
      `invalid network name "${name}": 1 to 128 of [a-zA-Z0-9_.-] are allowed, ` +
        "the first one a letter or a digit",
    );
  }
  if (["host", "bridge", "none", "default"].includes(name)) {
    throw new InvalidArgumentError(`operation is not permitted on predefined ${name} network`);
  }
}

/** Secrets and configs. @throws {InvalidArgumentError} */
export function checkFileName(annotations: Annotations | undefined, kind: "secret" | "config"): void {
  const name = requiredName(annotations, kind);
  if (name.length > 64 || !FILE_NAME.test(name)) {
    throw new InvalidArgumentError(
      "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, " +
        "and the start and end character must be [a-zA-Z0-9]",
    );
  }
}

function requiredName(annotations: Annotations | undefined, kind: string): string {
  if (annotations === undefined || annotations.name === "") {
    throw new InvalidArgumentError(`meta: name must be provided for a ${kind}`);
  }
  checkLabels(annotations);
  return annotations.name;
}

/** @throws {InvalidArgumentError} */
export function checkLabels(annotations: Annotations | undefined): void {
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations?.labels ?? {})) {
    if (key === "") throw new InvalidArgumentError("a label must have a key");
    bytes += key.length + value.length;
  }
  if (bytes > LABEL_BYTES_MAX) {
    throw new InvalidArgumentError(`labels may have ${LABEL_BYTES_MAX} bytes together, got ${bytes}`);
  }
}

/**
 * An update names the version it was made from.
 * @throws {AbortedError} when somebody changed the object since.
 */
export function checkVersion<K extends TableName>(object: Tables[K], version: number): void {
  if (versionOf(object) !== version) throw outOfSequence();
}

/**
 * Any version since the specification last changed will do: others write to the object, too, and nobody's
 * change of the specification can be lost.
 * @throws {AbortedError} somebody changed the specification since.
 */
export function checkSpecVersion(object: Service | Node, version: number): void {
  const oldest = object.specVersion?.index ?? versionOf(object);
  if (version < oldest || version > versionOf(object)) throw outOfSequence();
}

function outOfSequence(): AbortedError {
  return new AbortedError("update out of sequence");
}
