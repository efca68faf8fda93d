/**
 * Deploys the objects of a stack: networks, then secrets and configs, then services. Edge: to the API, files
 * and the clock.
 * Each step can be repeated: what exists is updated, and the server leaves an unchanged service alone.
 */
import { readFile } from "node:fs/promises";
import type { Clock } from "../../base/clock/clock.js";
import { systemClock } from "../../base/clock/system-clock.js";
import {
  FailedPreconditionError,
  InvalidArgumentError,
  messageOf,
  NotFoundError,
} from "../../base/errors/errors.js";
import type { StackFile, StackNetwork, StackObjects } from "../compose/convert-project.js";
import { IMAGE_LABEL } from "../compose/naming.js";
import { type Context, fetchRow, fetchRows, inner, textOf } from "../context.js";
import { ApiError } from "../http-client.js";
import type { Row } from "../output/table.js";
import type { WatchedService } from "../progress/http-service-watch.js";
import type { Json } from "../service/flag-values.js";
import { createService, updateService } from "../service/http-services.js";
import { fetchStack, idOf, nameOf } from "./http-stack.js";

export interface DeployOptions {
  readonly prune: boolean;
  readonly withRegistryAuth: boolean;
  /** @default the machine's */
  readonly clock?: Clock;
}

/** The name of a network that is being removed may still be taken for a moment. */
const NAME_TAKEN_WAIT_MS = 10_000;
const RETRY_PAUSE_MS = 200;

/** @returns the services, to be waited for. @throws {Error} at the first step that fails: it names it. */
export async function deployStack(
  context: Context,
  stack: string,
  objects: StackObjects,
  options: DeployOptions,
): Promise<WatchedService[]> {
  if (options.prune) await prune(context, stack, objects);
  await checkExternals(context, objects);
  await createNetworks(context, stack, objects.networks, options.clock ?? systemClock);
  const secretIds = await deployFiles(context, "secret", objects.secrets);
  const configIds = await deployFiles(context, "config", objects.configs);
  const existing = new Map(
    (await fetchStack(context, "services", stack)).map((service) => [nameOf(service), service]),
  );
  const deployed: WatchedService[] = [];
  for (const service of objects.services) {
    const spec = withIds(service, secretIds, configIds);
    const name = textOf(spec["Name"]);
    deployed.push({ id: await deployService(context, spec, existing.get(name), options), name });
  }
  return deployed;
}

async function named<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new Error(`${what}: ${messageOf(error)}`, { cause: error });
  }
}

async function prune(context: Context, stack: string, objects: StackObjects): Promise<void> {
  const wanted = new Set(objects.services.map((service) => textOf(service["Name"])));
  for (const service of await fetchStack(context, "services", stack)) {
    const name = nameOf(service);
    if (wanted.has(name)) continue;
    context.print(`Removing service ${name}`);
    await named(
      `failed to remove service ${name}`,
      context.client().call("DELETE", `/services/${idOf(service)}`),
    );
  }
}

/**
 * @throws {NotFoundError} an external network, secret or config that is not there;
 * nothing has been changed then.
 */
async function checkExternals(context: Context, objects: StackObjects): Promise<void> {
  for (const { name, external } of objects.networks) {
    if (!external) continue;
    const network = await find(context, `/networks/${encodeURIComponent(name)}`);
    if (network === undefined)
      throw new NotFoundError(
        `network ${JSON.stringify(name)} is declared as external, but could not be found: ` +
          `create it with 'skein network create ${name}'`,
      );
    if (textOf(network["Scope"]) !== "swarm" && !["host", "none"].includes(name)) {
      throw new FailedPreconditionError(
        `network ${JSON.stringify(name)} is declared as external, but is not of the swarm's scope: ` +
          textOf(network["Scope"]),
      );
    }
  }
  for (const [kind, files] of [
    ["secret", objects.secrets],
    ["config", objects.configs],
  ] as const) {
    for (const { name, external } of files) {
      if (external && (await find(context, `/${kind}s/${encodeURIComponent(name)}`)) === undefined) {
        throw new NotFoundError(
          `${kind} ${JSON.stringify(name)} is declared as external, but could not be found`,
        );
      }
    }
  }
}

async function find(context: Context, path: string): Promise<Row | undefined> {
  try {
    return await fetchRow(context, path);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

async function createNetworks(
  context: Context,
  stack: string,
  networks: readonly StackNetwork[],
  clock: Clock,
): Promise<void> {
  const existing = new Set((await fetchStack(context, "networks", stack)).map(nameOf));
  for (const { name, body } of networks.filter(
    (network) => !network.external && !existing.has(network.name),
  )) {
    context.print(`Creating network ${name}`);
    await named(`failed to create network ${name}`, createNetwork(context, name, body, clock));
  }
}

async function createNetwork(context: Context, name: string, body: Json, clock: Clock): Promise<void> {
  const deadlineMs = clock.monotonicMs() + NAME_TAKEN_WAIT_MS;
  for (;;) {
    try {
      const answer = (await context.client().call("POST", "/networks/create", { body })) as Row; // an object
      if (textOf(answer["Warning"]) !== "")
        context.note(`Warning: network ${name}: ${textOf(answer["Warning"])}`);
      return;
    } catch (error) {
      const isTaken = error instanceof ApiError && error.status === 409;
      if (
        !isTaken ||
        clock.monotonicMs() > deadlineMs ||
        (await find(context, `/networks/${encodeURIComponent(name)}`)) !== undefined
      )
        throw error;
      await clock.sleep(RETRY_PAUSE_MS);
    }
  }
}

async function dataOf({ name, source }: StackFile): Promise<Buffer | undefined> {
  switch (source?.kind) {
    case undefined:
      return undefined;
    case "content":
      return Buffer.from(source.value);
    case "environment": {
      const value = process.env[source.value];
      if (value === undefined)
        throw new InvalidArgumentError(
          `${name} takes its data from the variable ${source.value}, which is not set`,
        );
      return Buffer.from(value);
    }
    case "file":
      try {
        return await readFile(source.value);
      } catch (error) {
        throw new InvalidArgumentError(`cannot read ${source.value} for ${name}: ${messageOf(error)}`, {
          cause: error,
        });
      }
  }
}

/** Creates and updates secrets or configs. @returns ids by name. */
async function deployFiles(
  context: Context,
  kind: "secret" | "config",
  files: readonly StackFile[],
): Promise<Map<string, string>> {
  if (files.length === 0) return new Map();
  const data = new Map(
    await Promise.all(
      files.map(async (file): Promise<[string, Buffer | undefined]> => [file.name, await dataOf(file)]),
    ),
  );
  const found = await fetchRows(context, `/${kind}s`, {
    filters: JSON.stringify({ names: files.map(({ name }) => name) }),
  });
  const existing = new Map(found.map((object) => [nameOf(object), object]));
  const ids = new Map(found.map((object) => [nameOf(object), idOf(object)]));
  for (const { name, body } of files.filter(({ external }) => !external)) {
    const full = { ...body, Data: data.get(name)?.toString("base64") };
    const before = existing.get(name);
    if (before === undefined) {
      context.print(`Creating ${kind} ${name}`);
      const answer = await named(
        `failed to create ${kind} ${name}`,
        context.client().call("POST", `/${kind}s/create`, { body: full }),
      );
      ids.set(name, textOf((answer as Row)["ID"])); // an object
    } else await updateFile(context, kind, { before, name, body: full });
  }
  return ids;
}

/** A config that is the same is left alone; a secret's data cannot be read, so it is sent each time. */
async function updateFile(
  context: Context,
  kind: "secret" | "config",
  change: { before: Row; name: string; body: Json },
): Promise<void> {
  const { before, name, body } = change;
  const spec = inner(before, "Spec");
  const sameLabels = sameMap(inner(spec, "Labels"), body["Labels"]);
  if (kind === "config" && sameLabels && spec["Data"] === body["Data"]) return;
  const query = { version: textOf(inner(before, "Version")["Index"]) };
  const path = `/${kind}s/${encodeURIComponent(idOf(before))}/update`;
  await named(`failed to update ${kind} ${name}`, context.client().call("POST", path, { query, body }));
  if (kind === "config") context.print(`Updating config ${name}`);
}

function sameMap(a: Row, b: unknown): boolean {
  const other = (b ?? {}) as Row; // labels are a map
  return (
    Object.keys(a).length === Object.keys(other).length &&
    Object.entries(a).every(([key, value]) => other[key] === value)
  );
}

/** Puts ids beside the names of secrets and configs. */
export function withIds(
  spec: Json,
  secretIds: ReadonlyMap<string, string>,
  configIds: ReadonlyMap<string, string>,
): Json {
  const container = inner(spec, "TaskTemplate", "ContainerSpec");
  const filled = (
    list: unknown,
    kind: "Secret" | "Config",
    ids: ReadonlyMap<string, string>,
  ): Json[] | undefined =>
    Array.isArray(list)
      ? list.map((reference: Json) => ({
          ...reference,
          [`${kind}ID`]: ids.get(textOf(reference[`${kind}Name`])),
        }))
      : undefined;
  const secrets = filled(container["Secrets"], "Secret", secretIds);
  const configs = filled(container["Configs"], "Config", configIds);
  return {
    ...spec,
    TaskTemplate: {
      ...inner(spec, "TaskTemplate"),
      ContainerSpec: {
        ...container,
        ...(secrets === undefined ? {} : { Secrets: secrets }),
        ...(configs === undefined ? {} : { Configs: configs }),
      },
    },
  };
}

/** @returns the id. */
async function deployService(
  context: Context,
  spec: Json,
  before: Row | undefined,
  options: DeployOptions,
): Promise<string> {
  const name = textOf(spec["Name"]);
  if (before === undefined) {
    context.print(`Creating service ${name}`);
    return named(`failed to create service ${name}`, createService(context, spec, options));
  }
  const id = idOf(before);
  context.print(`Updating service ${name} (id: ${id})`);
  await named(
    `failed to update service ${name}`,
    updateService(context, before, keptFrom(before, spec), options),
  );
  return id;
}

/**
 * What an update without change must not lose: the count of forced updates, and the digest of the same image.
 */
export function keptFrom(before: Row, spec: Json): Json {
  const old = inner(before, "Spec");
  const task = inner(spec, "TaskTemplate");
  const container = inner(task, "ContainerSpec");
  const force = inner(old, "TaskTemplate")["ForceUpdate"];
  const pinned = textOf(inner(old, "TaskTemplate", "ContainerSpec")["Image"]);
  const isSameImage =
    inner(old, "Labels")[IMAGE_LABEL] === inner(spec, "Labels")[IMAGE_LABEL] &&
    pinned.startsWith(`${textOf(container["Image"])}@sha256:`);
  return {
    ...spec,
    TaskTemplate: {
      ...task,
      ...(force === undefined ? {} : { ForceUpdate: force }),
      ContainerSpec: { ...container, ...(isSameImage ? { Image: pinned } : {}) },
    },
  };
}
