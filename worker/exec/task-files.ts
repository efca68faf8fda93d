/**
 * Secrets and configs of a task as files in its container.
 * Pure. Invariants: secrets stand under /run/secrets and configs under / unless an absolute target says
 * otherwise; a missing one is named; data never enters a message.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { dataKey, taskDataKey } from "../../proto/dispatch/data-key.js";
import type { NodeFacts } from "../../proto/dispatch/task-placeholders.js";
import type { Secret, Task } from "../../proto/gen/skein/v1/objects.js";
import type { FileTarget, SecretReference } from "../../proto/gen/skein/v1/types.js";
import type { FileToPlace } from "../containers/container-manager.js";
import type { TaskDependencies } from "./controller.js";
import { TaskFailureError } from "./failure-cause.js";
import { expandTemplate } from "./task-template.js";

const MODE_DEFAULT = 0o444;
const SECRETS_FOLDER = "/run/secrets/";

export interface FilesInput {
  readonly task: Task;
  readonly node: NodeFacts;
  /** The container's environment, templates filled in. */
  readonly env: readonly string[];
  readonly dependencies: TaskDependencies;
}

function numberOf(text: string, what: string): number {
  const value = text === "" ? 0 : Number(text);
  if (!Number.isInteger(value) || value < 0)
    throw new InvalidArgumentError(`${what} must be a number, got ${text}`);
  return value;
}

function place(file: FileTarget, folder: string, data: Uint8Array): FileToPlace {
  return {
    target: file.name.startsWith("/") ? file.name : folder + file.name,
    data,
    uid: numberOf(file.uid, `uid of ${file.name}`),
    gid: numberOf(file.gid, `gid of ${file.name}`),
    mode: file.mode || MODE_DEFAULT,
  };
}

function missing(kind: "secret" | "config", name: string): TaskFailureError {
  return new TaskFailureError(`${kind}-missing`, `${kind} ${name} is not available on this node`);
}

/** The version that is named, or what a driver gives for this task. */
export function secretOf(
  { secretId, version }: SecretReference,
  task: Task,
  dependencies: Pick<TaskDependencies, "secret">,
): Secret | undefined {
  const key = dataKey(secretId, version);
  return dependencies.secret(key) ?? dependencies.secret(taskDataKey(key, task.id));
}

/** A driver was asked, and has said neither yes nor no. */
export function isAwaited({ driverName, driverRefusal, data }: Secret): boolean {
  return driverName !== "" && driverRefusal === "" && data.length === 0;
}

/**
 * @throws {TaskFailureError} secret-missing, config-missing; {InvalidArgumentError} a uid,
 * gid or placeholder that is none.
 */
export function filesOfTask(input: FilesInput): readonly FileToPlace[] {
  const { task, node, env, dependencies } = input;
  const spec = task.spec?.container;
  const raw = new Map<string, Uint8Array>();
  const expand = (data: Uint8Array, driver: string): Uint8Array => {
    if (driver === "") return data;
    if (driver !== "golang") throw new InvalidArgumentError(`template driver must be golang, got ${driver}`);
    const read =
      (kind: string) =>
      (target: string): string => {
        const found = raw.get(`${kind}/${target}`);
        if (found === undefined)
          throw new InvalidArgumentError(`template names ${kind} ${target}, which the task has not`);
        return Buffer.from(found).toString("utf8");
      };
    const text = expandTemplate(Buffer.from(data).toString("utf8"), task, node, {
      env: (name) => env.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1) ?? "",
      secret: read("secret"),
      config: read("config"),
    });
    return Buffer.from(text);
  };
  const secrets = (spec?.secrets ?? []).map((reference) => {
    const secret = secretOf(reference, task, dependencies);
    if (secret === undefined) throw missing("secret", reference.secretName);
    if (secret.driverRefusal !== "")
      throw new TaskFailureError(
        "secret-missing",
        `secret ${reference.secretName} is not available: driver ${secret.driverName}: ${secret.driverRefusal}`,
      );
    if (isAwaited(secret)) throw missing("secret", reference.secretName); // never an empty file
    const file = reference.file ?? { name: reference.secretName, uid: "", gid: "", mode: 0 };
    raw.set(`secret/${file.name}`, secret.data);
    return { secret, file };
  });
  const configs = (spec?.configs ?? []).flatMap((reference) => {
    if (reference.file === undefined) return []; // for the runtime only
    const config = dependencies.config(dataKey(reference.configId, reference.version));
    if (config === undefined) throw missing("config", reference.configName);
    raw.set(`config/${reference.file.name}`, config.data);
    return [{ config, file: reference.file }];
  });
  return [
    ...secrets.map(({ secret, file }) =>
      place(file, SECRETS_FOLDER, expand(secret.data, secret.templateDriver)),
    ),
    ...configs.map(({ config, file }) => place(file, "/", expand(config.data, config.templateDriver))),
  ];
}
