/**
 * Which containers a list shows: Docker's filters, limit and all. Pure.
 * Source: Docker Engine API 1.51, ContainerList.
 */
import { InvalidArgumentError, NotFoundError } from "../base/errors/errors.js";
import type { ContainerRecord } from "../proto/engine/containers.js";
import type { MountedVolume } from "./convert/container-mounts-out.js";
import { TASK_LABEL } from "./convert/container-network-out.js";
import { countsAsRunning, healthOf } from "./convert/container-out.js";
import { labelsMatch } from "./convert/prune-filters.js";
import { type Filters, parseFilters } from "./filters.js";

const FILTER_KEYS = [
  "ancestor",
  "before",
  "expose",
  "exited",
  "health",
  "id",
  "isolation",
  "is-task",
  "label",
  "name",
  "network",
  "publish",
  "since",
  "status",
  "volume",
];
const STATES = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
const HEALTHS = ["none", "starting", "healthy", "unhealthy"];

export interface FilterWorld {
  /** Ids of the image and of all built on it; empty when there is none. */
  readonly withDescendants: (reference: string) => ReadonlySet<string>;
  readonly find: (idOrName: string) => ContainerRecord | undefined;
  readonly volumesOf: (containerId: string) => readonly MountedVolume[];
  /** Of a local network or a task's, by container: names and ids. */
  readonly networksOf: (
    container: ContainerRecord,
  ) => readonly { readonly name: string; readonly id: string }[];
}

export interface ListRequest {
  readonly filters: string | null;
  readonly all: boolean;
  /** 0: all. */
  readonly limit: number;
}

type Test = (container: ContainerRecord) => boolean;

/** @param containers newest first; the order stays. @throws {InvalidArgumentError} in dockerd's words. */
export function selectContainers(
  containers: readonly ContainerRecord[],
  request: ListRequest,
  world: FilterWorld,
): readonly ContainerRecord[] {
  const filters = parseFilters(request.filters, FILTER_KEYS);
  const tests = testsOf(filters, world);
  const all = request.all || request.limit > 0 || filters.has("status");
  const chosen = containers.filter(
    (container) => (all || countsAsRunning(container)) && tests.every((test) => test(container)),
  );
  return request.limit > 0 ? chosen.slice(0, request.limit) : chosen;
}

function testsOf(filters: Filters, world: FilterWorld): Test[] {
  const tests: Test[] = [(container) => labelsMatch(filters, container.specification.labels)];
  /** One test for each value, of which one must hold; it is made once, so that it refuses before any is shown. */
  const any = (key: string, testFor: (value: string) => Test): void => {
    const values = filters.get(key);
    if (values === undefined || values.length === 0) return;
    const each = values.map(testFor);
    tests.push((container) => each.some((test) => test(container)));
  };
  any("id", (value) => {
    const matches = pattern(value);
    return ({ id }) => matches(id);
  });
  any("name", (value) => {
    const matches = pattern(value);
    return ({ name }) => matches(name) || matches(`/${name}`);
  });
  any("status", (value) => {
    checkWord("status", value, STATES);
    return ({ state }) => state === value;
  });
  any("health", (value) => {
    if (!HEALTHS.includes(value))
      throw new InvalidArgumentError(`unrecognized filter value for health: ${value}`);
    return (container) => (healthOf(container) || "none") === value;
  });
  any("exited", (value) => {
    const code = wholeNumber(value);
    return (container) => container.state === "exited" && container.exitCode === code;
  });
  any("is-task", (value) => {
    if (!["true", "false", "1", "0"].includes(value))
      throw new InvalidArgumentError(`invalid filter 'is-task=[${value}]'`);
    const wanted = value === "true" || value === "1";
    return ({ specification }) => TASK_LABEL in specification.labels === wanted;
  });
  any("ancestor", (value) => {
    const ids = world.withDescendants(value);
    return ({ imageId }) => ids.has(imageId);
  });
  any("before", (value) => {
    const { createdMs, id } = other(world, value);
    return (container) => container.createdMs < createdMs && container.id !== id;
  });
  any("since", (value) => {
    const { createdMs, id } = other(world, value);
    return (container) => container.createdMs > createdMs && container.id !== id;
  });
  any("volume", (value) => (container) => usesVolume(container, value, world));
  any(
    "network",
    (value) => (container) =>
      world
        .networksOf(container)
        .some(({ name, id }) => name === value || (id !== "" && id.startsWith(value))),
  );
  any("publish", (value) => {
    const wanted = portTest("publish", value);
    return ({ ports = [] }) => ports.some(({ hostPort, protocol }) => wanted(hostPort, protocol));
  });
  any("expose", (value) => {
    const wanted = portTest("expose", value);
    return (container) =>
      countsAsRunning(container) &&
      (container.specification.networking?.exposedPorts ?? []).some((port) => {
        const [number, protocol = "tcp"] = port.split("/");
        return wanted(Number(number), protocol);
      });
  });
  return tests;
}

function checkWord(key: string, value: string, words: readonly string[]): void {
  if (!words.includes(value)) throw new InvalidArgumentError(`invalid filter '${key}=${value}'`);
}

function wholeNumber(text: string): number {
  if (!/^[+-]?\d+$/.test(text))
    throw new InvalidArgumentError(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

function other({ find }: FilterWorld, value: string): ContainerRecord {
  const container = find(value);
  if (container === undefined) throw new NotFoundError(`no such container ${value}`);
  return container;
}

/** Longer ones are taken as they are: a pattern that backtracks for ever must not hold the daemon. */
const PATTERN_LENGTH_MAX = 256;
const PLAIN = /^[\w/.-]*$/;

/** As Docker matches: the whole text, or a pattern found anywhere in it. */
function pattern(text: string): (subject: string) => boolean {
  const plain = text.replace(/^\^/, "").replace(/\$$/, "");
  const [fromStart, toEnd] = [text.startsWith("^"), text.endsWith("$")];
  // Almost all are of this kind, and they need no engine that backtracks.
  if (PLAIN.test(plain) && !plain.includes(".")) {
    if (fromStart && toEnd) return (subject) => subject === plain;
    if (fromStart) return (subject) => subject.startsWith(plain);
    if (toEnd) return (subject) => subject.endsWith(plain);
    return (subject) => subject.includes(plain);
  }
  const expression = text.length <= PATTERN_LENGTH_MAX && !backtracks(text) ? compiled(text) : undefined;
  return (subject) => subject === text || (expression?.test(subject) ?? false);
}

/** A group that is repeated, or more than three repetitions. */
function backtracks(text: string): boolean {
  return /\)[*+{?]/.test(text) || (text.match(/[*+{?]/g)?.length ?? 0) > 3;
}

function compiled(text: string): RegExp | undefined {
  try {
    return new RegExp(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // it matches nothing but itself
    throw error;
  }
}

function usesVolume(container: ContainerRecord, value: string, world: FilterWorld): boolean {
  return (
    world.volumesOf(container.id).some(({ name, target }) => name === value || target === value) ||
    container.specification.mounts.some(
      (mount) => mount.target === value || (mount.kind === "bind" && mount.source === value),
    )
  );
}

/** "80", "80/udp", "8000-8010/tcp". */
function portTest(key: string, value: string): (port: number, protocol: string) => boolean {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(\w+))?$/i.exec(value);
  if (match === null)
    throw new InvalidArgumentError(
      `error while looking up for ${key} ${value}: strconv.ParseUint: parsing ${JSON.stringify(value)}: ` +
        "invalid syntax",
    );
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  const wanted = (match[3] ?? "tcp").toLowerCase();
  return (port, protocol) => port >= first && port <= last && protocol === wanted;
}
