/**
 * What a plugin answered, checked. Pure. A plugin is a program of somebody else: nothing of its words is
 * believed before it was looked at.
 * Source: Docker's plugin protocol.
 */
import { InternalError } from "../../base/errors/errors.js";

type Fields = Readonly<Record<string, unknown>>;

/** @throws {InternalError} with the plugin's own words when it says that it failed. */
export function pluginAnswer(text: string, method: string): Fields {
  let value: unknown;
  try {
    value = text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    throw new InternalError(`${method}: the plugin's answer is not JSON`); // the parser's words quote it
  }
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value))
    throw new InternalError(`${method}: the plugin's answer is no object`);
  const fields = value as Fields; // just checked: an object that is no array
  const failure = fields["Err"];
  if (typeof failure === "string" && failure !== "") throw new InternalError(`${method}: ${failure}`);
  return fields;
}
