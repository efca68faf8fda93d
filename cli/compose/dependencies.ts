/**
 * Services that name other services: `depends_on`, links, shared namespaces. Pure. In version 3 files Docker
 * leaves `depends_on` and `links` alone: what is wrong there is warned about and left out, so that such a
 * file deploys as it does with Docker.
 * Source: Compose Specification, "depends_on", "Profiles".
 */
import type { Path } from "./compose-error.js";
import type { Checking } from "./consistency.js";
import type { DependencyDoc, ServiceDoc } from "./model.js";

type Services = Readonly<Record<string, ServiceDoc>>;

/** @returns the services without dependencies that are disabled and not required. */
export function checkDependencies(services: Services, checking: Checking): Services {
  const kept = Object.fromEntries(
    Object.entries(services).map(([name, service]) => {
      if (!checking.isVersion3) namespaces(services, service, ["services", name], checking);
      if (service.depends_on === undefined) return [name, service];
      return [name, { ...service, depends_on: known(services, name, service.depends_on, checking) }];
    }),
  );
  const cycle = findCycle(Object.keys(kept), (name) => Object.keys(kept[name]?.depends_on ?? {}));
  if (cycle === undefined) return kept;
  const [first = ""] = cycle;
  const rule = `services wait for each other in a circle: ${[...cycle, first].join(", then ")}`;
  if (!checking.isVersion3) {
    checking.found(["services", first, "depends_on"], rule);
    return kept;
  }
  checking.warn(["services", first, "depends_on"], `${rule}: no service waits for another`);
  return Object.fromEntries(
    Object.entries(kept).map(([name, { depends_on: _, ...service }]) => [name, service]),
  );
}

function known(
  services: Services,
  name: string,
  dependencies: Readonly<Record<string, DependencyDoc>>,
  { disabled, isVersion3, found, warn }: Checking,
): Record<string, DependencyDoc> {
  const entries = Object.entries(dependencies).filter(([other, { required }]) => {
    if (Object.hasOwn(services, other)) return true;
    const path = ["services", name, "depends_on", other];
    if (disabled.has(other)) {
      if (required !== false)
        found(path, `service ${JSON.stringify(other)} is disabled: none of its profiles is active`);
      return false;
    }
    // a dependency that is not required may be missing, too
    if (required === false) return false;
    const rule = `there is no service ${JSON.stringify(other)}`;
    if (isVersion3) warn(path, `${rule}: it is not waited for`);
    else found(path, rule);
    return false;
  });
  return Object.fromEntries(entries);
}

const SHARED = ["network_mode", "ipc", "pid", "uts", "cgroup"] as const;

function namespaces(
  services: Services,
  service: ServiceDoc,
  path: Path,
  { disabled, found }: Checking,
): void {
  const check = (name: string, at: Path): void => {
    if (Object.hasOwn(services, name)) return;
    const why = disabled.has(name) ? "is disabled: none of its profiles is active" : "is not there";
    found(at, `service ${JSON.stringify(name)} ${why}`);
  };
  for (const key of SHARED) {
    const value = service[key];
    if (value?.startsWith("service:") === true) check(value.slice("service:".length), [...path, key]);
  }
  for (const [i, link] of (service.links ?? []).entries())
    check(link.split(":")[0] ?? "", [...path, "links", i]);
  for (const [i, from] of (service.volumes_from ?? []).entries())
    if (!from.startsWith("container:")) check(from.split(":")[0] ?? "", [...path, "volumes_from", i]);
}

/** The names of one cycle, in order; depth first, without recursion: a chain may be as long as the file. */
export function findCycle(
  names: Iterable<string>,
  waitsFor: (name: string) => readonly string[],
): string[] | undefined {
  const done = new Set<string>();
  for (const start of names) {
    const stack = [{ name: start, left: [...waitsFor(start)].reverse() }];
    const open = new Set([start]);
    while (!done.has(start)) {
      const top = stack.at(-1);
      if (top === undefined) break;
      const next = top.left.pop();
      if (next === undefined) {
        done.add(top.name);
        open.delete(top.name);
        stack.pop();
      } else if (open.has(next)) {
        const chain = stack.map(({ name }) => name);
        return chain.slice(chain.indexOf(next));
      } else if (!done.has(next)) {
        stack.push({ name: next, left: [...waitsFor(next)].reverse() });
        open.add(next);
      }
    }
  }
  return undefined;
}
