import type { RegistryClient } from "./registry-client.js";
export function createHttpRegistryClient(_c: unknown, _o: unknown): RegistryClient {
  throw new Error("to come");
}
