/**
 * The registry credentials of a service, as Docker's clients send them: base64 of a JSON object.
 * Pure. Invariant: a malformed value is refused without being shown.
 * Source: X-Registry-Auth of the Docker Engine API.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { RegistryAuth } from "../images/image-store.js";

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** @returns undefined when there are none. @throws {InvalidArgumentError} */
export function parseRegistryAuth(encoded: string): RegistryAuth | undefined {
  if (encoded === "") return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(encoded, "base64").toString("utf8")); // Node takes the URL alphabet too
  } catch {
    throw new InvalidArgumentError("the registry credentials of the service are not base64 of JSON");
  }
  if (typeof parsed !== "object" || parsed === null) {
    throw new InvalidArgumentError("the registry credentials of the service are not a JSON object");
  }
  const fields = new Map(Object.entries(parsed).map(([key, value]) => [key.toLowerCase(), text(value)]));
  const named: RegistryAuth = {
    ...pick("username", fields.get("username")),
    ...pick("password", fields.get("password")),
    ...pick("identityToken", fields.get("identitytoken")),
    ...pick("registryToken", fields.get("registrytoken")),
    ...pick("serverAddress", fields.get("serveraddress")),
  };
  return Object.keys(named).length === 0 ? undefined : named;
}

function pick(name: keyof RegistryAuth, value: string | undefined): RegistryAuth {
  return value === undefined ? {} : { [name]: value };
}
