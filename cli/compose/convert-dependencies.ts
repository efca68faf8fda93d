/**
 * What a service waits for, and which services are jobs because somebody waits for their end. Pure.
 */
import type { StackDependencyBody } from "../../proto/stack-api.js";
import type { Notes } from "./convert-notes.js";
import { pathIn, type ServiceScope, VERSIONED } from "./convert-scope.js";
import { findCycle } from "./dependencies.js";
import type { ComposeDoc, DependencyDoc, ServiceDoc } from "./model.js";

const CONDITIONS: Readonly<Record<DependencyDoc["condition"], StackDependencyBody["Condition"]>> = {
  service_started: "started",
  service_healthy: "healthy",
  service_completed_successfully: "completed",
};

/** depends_on, and links: those are there first, too. */
export function dependenciesOf(scope: ServiceScope): StackDependencyBody[] {
  const { service, project, versioned, notes } = scope;
  const own = service.depends_on ?? {};
  if (versioned && service.links !== undefined) notes.warn(pathIn(scope, "links"), VERSIONED);
  const linked = versioned ? [] : (service.links ?? []).map((link) => link.split(":")[0] ?? "");
  const all: Readonly<Record<string, DependencyDoc>> = {
    ...Object.fromEntries(linked.map((key) => [key, { condition: "service_started" } as const])),
    ...own,
  };
  return Object.entries(all).map(([key, { condition, restart, required }]) => {
    const word = Object.hasOwn(own, key) ? "depends_on" : "links";
    const path = word === "links" ? pathIn(scope, word) : pathIn(scope, word, key);
    if (required !== false && !Object.hasOwn(project.services, key))
      notes.refuse(path, `service ${JSON.stringify(key)} is not declared, or its profile is not active`);
    if (condition === "service_healthy" && project.services[key]?.healthcheck?.disable === true)
      notes.refuse(path, `service ${JSON.stringify(key)} has no health check that could tell`);
    if (condition === "service_completed_successfully" && neverEnds(project.services[key]))
      notes.refuse(
        path,
        `service ${JSON.stringify(key)} never ends: its mode is no job's, and it is restarted`,
      );
    return {
      Service: key,
      Condition: CONDITIONS[condition] ?? "started",
      ...(restart === true ? { Restart: true } : {}),
      ...(required === false ? { Required: false } : {}),
    };
  });
}

/** Told to be no job, and to begin again whenever it ends. */
function neverEnds(service: ServiceDoc | undefined): boolean {
  const { mode, restart_policy: policy } = service?.deploy ?? {};
  if (mode === undefined || mode.endsWith("-job")) return false;
  const condition = policy?.condition ?? (/^(no|on-failure)/.test(service?.restart ?? "") ? "none" : "any");
  return condition === "any";
}

/**
 * Services whose end others wait for, without a mode of their own: ordinary ones never end, jobs do.
 */
export function impliedJobs(project: ComposeDoc): ReadonlySet<string> {
  const awaited = Object.values(project.services).flatMap(({ depends_on: dependencies = {} }) =>
    Object.entries(dependencies).flatMap(([key, { condition }]) =>
      condition === "service_completed_successfully" ? [key] : [],
    ),
  );
  return new Set(awaited.filter((key) => project.services[key]?.deploy?.mode === undefined));
}

/** Services that wait for each other would wait for ever. */
export function refuseCycles(
  dependencies: ReadonlyMap<string, readonly StackDependencyBody[]>,
  notes: Notes,
): void {
  const waitsFor = (key: string): string[] => (dependencies.get(key) ?? []).map(({ Service }) => Service);
  const cycle = findCycle(dependencies.keys(), waitsFor);
  if (cycle === undefined) return;
  const [first = ""] = cycle;
  notes.refuse(["services", first, "depends_on"], `goes in a circle: ${[...cycle, first].join(", ")}`);
}
