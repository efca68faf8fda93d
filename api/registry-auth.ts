/**
 * The X-Registry-Auth header: base64 (url-safe or not) of a JSON object. Pure. Its content is a secret:
 * never logged.
 */
import { InternalError, InvalidArgumentError, UnauthenticatedError } from "../base/errors/errors.js";
import type { RegistryAuth } from "../proto/engine/images.js";
import { Fields } from "./convert/fields.js";

/** @returns undefined for an empty header or an empty object. @throws {InvalidArgumentError} */
export function registryAuthIn(header: string): RegistryAuth | undefined {
  if (header === "") return undefined;
  let fields: Fields;
  try {
    fields = Fields.of(
      JSON.parse(Buffer.from(header.replaceAll("-", "+").replaceAll("_", "/"), "base64").toString("utf8")),
    );
  } catch {
    // The cause would quote the header: it stays out of the error.
    throw new InvalidArgumentError("X-Registry-Auth must be base64 of a JSON object");
  }
  const auth: RegistryAuth = {
    username: fields.string("username"),
    password: fields.string("password"),
    identityToken: fields.string("identitytoken"),
    registryToken: fields.string("registrytoken"),
    serverAddress: fields.string("serveraddress"),
  };
  return Object.values(auth).some((value) => value !== "") ? auth : undefined;
}

/**
 * A registry that refuses the daemon is the daemon's failure (500). 401 would be of this API: the CLI then
 * asks for a password in the middle of a script.
 */
export async function withRegistryRefusal<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof UnauthenticatedError) throw new InternalError(error.message, { cause: error });
    throw error;
  }
}
