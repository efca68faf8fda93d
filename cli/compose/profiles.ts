/**
 * Which services are there: those without profiles, and those of a profile that is active. Pure.
 * Source: Compose Specification, "Profiles".
 */
import { listOf, type Raw, rawOf } from "./long-form.js";

export function activeServices(root: Raw, profiles: readonly string[]): string[] {
  const active = new Set(profiles);
  return Object.entries(rawOf(root["services"]))
    .filter(([, service]) => {
      const own = listOf(rawOf(service)["profiles"]).map(String);
      return own.length === 0 || active.has("*") || own.some((profile) => active.has(profile));
    })
    .map(([name]) => name);
}

/** "a, b" of COMPOSE_PROFILES, and --profile flags, as names. */
export function profilesOf(flags: readonly string[], variable: string | undefined): string[] {
  const all = [...flags, ...(variable ?? "").split(",")].map((name) => name.trim());
  return [...new Set(all.filter((name) => name !== ""))];
}
