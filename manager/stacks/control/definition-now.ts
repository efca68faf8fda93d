/**
 * What the cluster has of a stack now, as a definition: for differences from what was deployed, and for
 * revisions of what others changed.
 * Pure over a read of the store. Invariant: in the form of `definition-form.ts`, without data.
 */
import { isNodeNetwork } from "../../../proto/engine/node-networks.js";
import {
  type StackDefinition,
  StackFile,
  type StackNetwork,
  type StackService,
} from "../../../proto/gen/skein/v1/stack_types.js";
import { dataOfVersion, newestVersion } from "../../control/data-versions.js";
import { isLeaving } from "../../control/find-object.js";
import { versionOf } from "../../store/tables.js";
import type { ReadTx } from "../../store/types.js";
import { findStack } from "../deployment/begin.js";
import { keptFiles } from "../deployment/leftovers.js";
import { isReplaced } from "../deployment/stack-networks.js";
import type { FileKind } from "./check-files.js";
import { dataDigest } from "./data-digest.js";
import { type FileObject, fileName, namedSpec, networkName } from "./definition-form.js";
import { serviceKey } from "./stack-update.js";

export interface NowOptions {
  readonly stackName: string;
  /** Gives keys, order of start, and what is external; undefined: nobody said. */
  readonly like: StackDefinition | undefined;
  /**
   * Index in the store: what `like` does not have was left over by a deployment without prune, and is not
   * told, unless it was changed after. @default 0, it is told
   */
  readonly changedAfter?: number;
}

export function definitionNow(tx: ReadTx, options: NowOptions): StackDefinition {
  const { stackName, like, changedAfter = 0 } = options;
  const known = new Map((like?.services ?? []).map((service) => [service.spec?.annotations?.name, service]));
  const keyOf = keysBeside(like?.services ?? [], stackName);
  const services = tx
    .list("service", { by: "stackName", stackName })
    .filter((service) => !isLeaving(service))
    .filter(
      ({ spec, specVersion }) =>
        known.has(spec?.annotations?.name) || (specVersion?.index ?? 0) > changedAfter || changedAfter === 0,
    )
    .flatMap(({ spec }) => (spec === undefined ? [] : [namedSpec(tx, spec)]));
  const own = services.map((spec): StackService => {
    const name = spec.annotations?.name ?? "";
    const former = known.get(name);
    const key = former?.key ?? keyOf(name);
    return { key, spec, dependsOn: former?.dependsOn ?? [], registryAuth: "" };
  });
  const order = new Map((like?.services ?? []).map(({ key }, at) => [key, at]));
  const place = ({ key }: StackService): number => order.get(key) ?? order.size;
  return {
    networks: networksNow(tx, options),
    secrets: filesNow(tx, "secret", options),
    configs: filesNow(tx, "config", options),
    services: own.sort((a, b) => place(a) - place(b) || (a.key < b.key ? -1 : 1)),
  };
}

/** A key for what the definition does not have: none of the definition's own. */
function keysBeside(
  taken: readonly { readonly key: string }[],
  stackName: string,
): (objectName: string) => string {
  const keys = new Set(taken.map(({ key }) => key));
  return (objectName) => {
    const key = serviceKey(objectName, stackName);
    return keys.has(key) ? objectName : key;
  };
}

function networksNow(tx: ReadTx, options: NowOptions): readonly StackNetwork[] {
  const { stackName, like, changedAfter = 0 } = options;
  const known = new Map((like?.networks ?? []).map((network) => [networkName(network), network.key]));
  const keyOf = keysBeside(like?.networks ?? [], stackName);
  const own = tx
    .list("network", { by: "stackName", stackName })
    .filter((network) => !isLeaving(network) && !isReplaced(network))
    .filter((network) => known.has(networkName(network)) || versionOf(network) > changedAfter)
    .map(({ spec }): StackNetwork => {
      const name = spec?.annotations?.name ?? "";
      return { key: known.get(name) ?? keyOf(name), external: false, spec };
    });
  const external = (like?.networks ?? []).filter(
    (network) =>
      network.external &&
      (isNodeNetwork(networkName(network)) ||
        tx.list("network", { by: "name", name: networkName(network) }).length > 0),
  );
  return [...own, ...external];
}

function filesNow(tx: ReadTx, kind: FileKind, options: NowOptions): readonly StackFile[] {
  const { stackName, changedAfter = 0 } = options;
  const like = (kind === "secret" ? options.like?.secrets : options.like?.configs) ?? [];
  const known = new Map(like.map((file) => [fileName(file), file]));
  const keyOf = keysBeside(like, stackName);
  const lookup = { by: "stackName", stackName } as const;
  const objects: readonly FileObject[] =
    kind === "secret" ? tx.list("secret", lookup) : tx.list("config", lookup);
  const stored = findStack(tx, stackName);
  const kept = stored === undefined ? new Set<string>() : keptFiles(tx, stored.id);
  const own = objects.flatMap((object) => {
    const name = object.annotations?.name ?? "";
    const former = known.get(name);
    const inUse = versionInUse(tx, kind, object);
    // only there so that an earlier revision can be had back
    const isKept = inUse === undefined && kept.has(object.id);
    if (former === undefined && (isKept || versionOf(object) <= changedAfter)) return [];
    const version = inUse ?? keptOf(object, former) ?? newestVersion(object);
    const data = dataOfVersion(object, version);
    const file = StackFile.fromPartial({
      key: former?.key ?? keyOf(name),
      annotations: object.annotations ?? {},
      templateDriver: object.templateDriver,
      ...("driverName" in object
        ? { driverName: object.driverName, driverOptions: object.driverOptions }
        : {}),
      version,
      objectId: object.id,
      dataSha256: data === undefined ? "" : dataDigest(data),
    });
    return [file];
  });
  const external = like.filter(
    (file) => file.external && tx.list(kind, { by: "name", name: fileName(file) }).length > 0,
  );
  return [...own, ...external];
}

/** The newest that a service asks for: data that nobody asks for is not what the stack has. */
function versionInUse(tx: ReadTx, kind: FileKind, { id }: FileObject): number | undefined {
  const users =
    kind === "secret"
      ? tx.list("service", { by: "secretId", secretId: id })
      : tx.list("service", { by: "configId", configId: id });
  const versions = users.flatMap(({ spec }) => {
    const container = spec?.task?.container;
    const references =
      kind === "secret"
        ? (container?.secrets ?? []).filter(({ secretId }) => secretId === id)
        : (container?.configs ?? []).filter(({ configId }) => configId === id);
    return references.map(({ version }) => version || 1);
  });
  return versions.length === 0 ? undefined : Math.max(...versions);
}

function keptOf(object: FileObject, former: StackFile | undefined): number | undefined {
  if (former === undefined || former.objectId !== object.id || former.version === 0) return undefined;
  return dataOfVersion(object, former.version) === undefined ? undefined : former.version;
}
