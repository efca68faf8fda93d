/**
 * The form in which definitions are stored and compared: objects go by name, versions of data by number, what
 * everybody means without saying it is said, and labels name the stack. And the way back, to what a service's
 * specification is in the store.
 * Pure. Invariants: two definitions that mean the same have forms that compare equal; a form holds no data of
 * secrets or configs, and credentials only inside specifications.
 */
import type { Config, Secret } from "../../../proto/gen/skein/v1/objects.js";
import type { StackFile, StackNetwork } from "../../../proto/gen/skein/v1/stack_types.js";
import {
  type Annotations,
  NetworkSpec,
  type ServiceSpec,
  type TaskSpec,
} from "../../../proto/gen/skein/v1/types.js";
import { dataOfVersion } from "../../control/data-versions.js";
import { resolveReferences } from "../../control/service-references.js";
import { STACK_LABEL } from "../../store/index-keys.js";
import type { ReadTx } from "../../store/types.js";

/** What the store has of a secret or config. */
export type FileObject = Secret | Config;

/** The annotations with the label that says whose the object is. */
export function labelled(annotations: Annotations | undefined, stackName: string): Annotations {
  const { name = "", labels = {} } = annotations ?? {};
  return { name, labels: { ...labels, [STACK_LABEL]: stackName } };
}

/** @returns the stack an object says it belongs to; "": to none. */
export function stackOf(annotations: Annotations | undefined): string {
  return annotations?.labels[STACK_LABEL] ?? "";
}

export function networkName({ spec }: Pick<StackNetwork, "spec">): string {
  return spec?.annotations?.name ?? "";
}

export function fileName({ annotations }: Pick<StackFile, "annotations">): string {
  return annotations?.name ?? "";
}

/** A network's specification as it is stored. */
export function networkForm(spec: NetworkSpec | undefined, stackName: string): NetworkSpec {
  return {
    ...(spec ?? NetworkSpec.fromPartial({})),
    annotations: labelled(spec?.annotations, stackName),
    driver: "overlay",
    scope: "swarm",
  };
}

/**
 * A stored specification with names instead of ids. A number that only says how often somebody forced an
 * update is left out.
 */
export function namedSpec(tx: ReadTx, spec: ServiceSpec): ServiceSpec {
  const { task } = spec;
  if (task === undefined) return spec;
  const { container } = task;
  const networks = task.networks.map((attachment) => ({
    ...attachment,
    target: tx.get("network", attachment.target)?.spec?.annotations?.name ?? attachment.target,
  }));
  const secrets = (container?.secrets ?? []).map((reference) => ({
    ...reference,
    secretId: "",
    secretName: tx.get("secret", reference.secretId)?.annotations?.name ?? reference.secretName,
  }));
  const configs = (container?.configs ?? []).map((reference) => ({
    ...reference,
    configId: "",
    configName: tx.get("config", reference.configId)?.annotations?.name ?? reference.configName,
  }));
  return {
    ...spec,
    task: {
      ...task,
      networks,
      forceUpdate: 0,
      container: container && { ...container, secrets, configs },
    },
  };
}

/**
 * The specification that a service of a revision gets in the store: names become ids, and each secret and
 * config has the version that the revision names, as long as that is kept; else the one the service has, or
 * the newest.
 * @param before what the service has now; undefined: it is new.
 * @throws {NotFoundError} {InvalidArgumentError} {FailedPreconditionError} as for a service by itself.
 */
export function storedSpec(tx: ReadTx, spec: ServiceSpec, before?: ServiceSpec): ServiceSpec {
  const { task } = spec;
  if (task === undefined) return spec;
  const resolved = resolveReferences(tx, task, before);
  return {
    ...spec,
    task: {
      ...withVersions(tx, resolved, task),
      forceUpdate: task.forceUpdate || (before?.task?.forceUpdate ?? 0),
    },
  };
}

/** The references keep their order while they are resolved. */
function withVersions(tx: ReadTx, resolved: TaskSpec, asked: TaskSpec): TaskSpec {
  const { container } = resolved;
  if (container === undefined) return resolved;
  const secrets = container.secrets.map((reference, at) => ({
    ...reference,
    version: versionOr(
      reference.version,
      asked.container?.secrets[at]?.version,
      tx.get("secret", reference.secretId),
    ),
  }));
  const configs = container.configs.map((reference, at) => ({
    ...reference,
    version: versionOr(
      reference.version,
      asked.container?.configs[at]?.version,
      tx.get("config", reference.configId),
    ),
  }));
  return { ...resolved, container: { ...container, secrets, configs } };
}

function versionOr(otherwise: number, wanted: number | undefined, object: FileObject | undefined): number {
  if (wanted === undefined || wanted === 0 || object === undefined) return otherwise;
  return dataOfVersion(object, wanted) === undefined ? otherwise : wanted;
}

/** @returns the version of the object's kept data that has this content; undefined: none has. */
export function versionWith(object: FileObject, data: Uint8Array): number | undefined {
  const newest = object.dataVersion || 1;
  if (Buffer.compare(object.data, data) === 0) return newest;
  return object.oldVersions.findLast((version) => Buffer.compare(version.data, data) === 0)?.number;
}
