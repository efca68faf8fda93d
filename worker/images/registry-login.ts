/**
 * Checking credentials with a registry, for `docker login`. Pure over the registry client.
 * Source: Docker Engine API, POST /auth.
 */
import { parseReference } from "./image-reference.js";
import type { RegistryAuth } from "./image-store.js";
import type { RegistryClient } from "./registry-client.js";

/** @returns the identity token, or "". @throws {UnauthenticatedError} {UnavailableError} */
export async function loginTo(
  client: RegistryClient,
  auth: RegistryAuth,
  signal: AbortSignal | undefined,
): Promise<string> {
  return await client.authenticate(registryDomainOf(auth.serverAddress ?? ""), auth, signal);
}

/** "https://index.docker.io/v1/", "registry.example:5000", "http://x/v2/": only the host counts. */
export function registryDomainOf(serverAddress: string): string {
  const host = serverAddress.replace(/^https?:\/\//, "").split("/", 1)[0] ?? "";
  if (host === "" || host === "index.docker.io" || host === "registry-1.docker.io") return "docker.io";
  // A name below the host makes the host be read as a registry, with all checks of names.
  const { domain } = parseReference(`${host}/login`);
  return domain === "docker.io" && host !== "docker.io" ? host : domain;
}
