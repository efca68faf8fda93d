/**
 * Data that travels in JSON. Pure.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { Fields } from "./fields.js";

/** @returns nothing when absent. @throws {InvalidArgumentError} which does not quote what was given. */
export function base64In(fields: Fields, key: string): Uint8Array {
  const text = fields.string(key);
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) throw new InvalidArgumentError(`${key} must be base64`);
  return new Uint8Array(Buffer.from(text, "base64"));
}
