/**
 * What new data of a secret or config does to the services that use it: each is updated to ask for the new
 * version, by its own update rules, with the version it had as what it goes back to.
 * Pure over a transaction. Jobs are left alone: their tasks keep what they began with until the next run.
 */
import type { Service } from "../../proto/gen/skein/v1/objects.js";
import type { ContainerSpec, ServiceSpec } from "../../proto/gen/skein/v1/types.js";
import { STACK_LABEL } from "../store/index-keys.js";
import type { ReadTx, Tables, WriteTx } from "../store/types.js";
import { newestVersion, withNewData } from "./data-versions.js";

export type DataKind = "secret" | "config";

interface Reference {
  readonly id: string;
  readonly version: number;
}

function referencesOf(kind: DataKind, container: ContainerSpec | undefined): readonly Reference[] {
  return kind === "secret"
    ? (container?.secrets ?? []).map(({ secretId: id, version }) => ({ id, version }))
    : (container?.configs ?? []).map(({ configId: id, version }) => ({ id, version }));
}

function usersOf(tx: ReadTx, kind: DataKind, id: string): readonly Service[] {
  return kind === "secret"
    ? tx.list("service", { by: "secretId", secretId: id })
    : tx.list("service", { by: "configId", configId: id });
}

/**
 * @param options.rollsOut the services that use it are about to move on, jobs excepted.
 * @returns the versions that services, their tasks, and their previous specifications ask for.
 */
function versionsInUse(
  tx: ReadTx,
  kind: DataKind,
  object: { readonly id: string; readonly rollsOut: boolean },
): { needed: Set<number>; wanted: Set<number> } {
  const { id, rollsOut } = object;
  const needed = new Set<number>();
  const wanted = new Set<number>();
  const note = (container: ContainerSpec | undefined, into: Set<number>): void => {
    for (const reference of referencesOf(kind, container))
      if (reference.id === id) into.add(reference.version || 1);
  };
  for (const { spec, previousSpec } of usersOf(tx, kind, id)) {
    note(previousSpec?.task?.container, wanted);
    note(spec?.task?.container, rollsOut && !isJob(spec) ? wanted : needed);
  }
  const tasks =
    kind === "secret"
      ? tx.list("task", { by: "secretId", secretId: id })
      : tx.list("task", { by: "configId", configId: id });
  // a task restarts with what it has until the update has come to it
  for (const task of tasks) note(task.spec?.container, wanted);
  return { needed, wanted };
}

function isJob(spec: ServiceSpec | undefined): boolean {
  return spec?.mode?.$case === "replicatedJob" || spec?.mode?.$case === "globalJob";
}

/**
 * The object with the data as its newest version.
 * @param change.rollsOut the services that use it get it now; else none asks for it yet.
 */
export function withFileData<K extends DataKind>(
  tx: ReadTx,
  kind: K,
  object: Tables[K],
  change: { readonly data: Uint8Array; readonly rollsOut: boolean },
): Tables[K] {
  const { data, rollsOut } = change;
  const { needed, wanted } = versionsInUse(tx, kind, { id: object.id, rollsOut });
  for (const version of versionsOfRevisions(tx, kind, object)) wanted.add(version);
  return withNewData<Tables[K]>(object, {
    ...{ needed, wanted, data },
    kept: tx.list("cluster")[0]?.spec?.dataVersionsKept ?? 0,
    createdAtMs: object.meta?.updatedAtMs ?? 0,
    what: `${kind} ${object.annotations?.name ?? ""}`,
  });
}

/** @returns the versions that the kept revisions of its stack ask for. */
function versionsOfRevisions<K extends DataKind>(tx: ReadTx, kind: K, object: Tables[K]): readonly number[] {
  const stackName = object.annotations?.labels[STACK_LABEL] ?? "";
  if (stackName === "") return [];
  return tx
    .list("stack", { by: "name", name: stackName })
    .flatMap((stack) => tx.list("stackRevision", { by: "stackId", stackId: stack.id }))
    .flatMap(({ definition }) => (kind === "secret" ? definition?.secrets : definition?.configs) ?? [])
    .flatMap(({ objectId, version }) => (objectId === object.id && version > 0 ? [version] : []));
}

/** Stores the object with its new data, and moves the services that use it when the data is other than before. */
export function renew<K extends DataKind>(tx: WriteTx, kind: K, object: Tables[K], data: Uint8Array): void {
  const name = object.annotations?.name ?? "";
  const next = withFileData(tx, kind, object, { data, rollsOut: true });
  tx.update(kind, next);
  if (next !== object) rollOut(tx, kind, { id: object.id, name, version: newestVersion(next) });
}

/** @param version the version of the object that services are to ask for. */
function rollOut(
  tx: WriteTx,
  kind: DataKind,
  object: { readonly id: string; readonly name: string; readonly version: number },
): void {
  for (const service of usersOf(tx, kind, object.id)) {
    if (service.pendingDelete || service.spec === undefined || isJob(service.spec)) continue;
    const spec = withVersion(service.spec, kind, object);
    if (spec === undefined) continue;
    tx.update("service", {
      ...service,
      spec,
      specVersion: { index: 0 }, // the store puts the entry's index here
      previousSpec: service.spec,
      previousSpecVersion: service.specVersion,
      updateStatus: undefined,
      specChange: `${kind} ${object.name} version ${object.version}`,
    });
  }
}

/** @returns undefined when the specification asks for that version already, or not for the object. */
function withVersion(
  spec: ServiceSpec,
  kind: DataKind,
  { id, version }: { readonly id: string; readonly version: number },
): ServiceSpec | undefined {
  const { task } = spec;
  const container = task?.container;
  if (container === undefined || task === undefined) return undefined;
  if (
    !referencesOf(kind, container).some((reference) => reference.id === id && reference.version !== version)
  )
    return undefined;
  const secrets = container.secrets.map((reference) =>
    kind === "secret" && reference.secretId === id ? { ...reference, version } : reference,
  );
  const configs = container.configs.map((reference) =>
    kind === "config" && reference.configId === id ? { ...reference, version } : reference,
  );
  return { ...spec, task: { ...task, container: { ...container, secrets, configs } } };
}

/**
 * The version a reference is to have: the one its service has already, so that no unrelated update moves a
 * service that was rolled back to the data it was rolled back from; else the newest.
 * @param before the specification the service has; undefined for a new service, and when it is forced.
 */
export function versionFor(
  kind: DataKind,
  object: {
    readonly id: string;
    readonly dataVersion: number;
    readonly oldVersions: readonly { number: number }[];
  },
  before: ServiceSpec | undefined,
): number {
  const newest = newestVersion(object);
  const had = referencesOf(kind, before?.task?.container).find(({ id }) => id === object.id);
  if (had === undefined) return newest;
  const version = had.version || 1;
  return object.oldVersions.some(({ number }) => number === version) ? version : newest;
}
