/**
 * Secrets and configs of a definition against the rules and the store: what they become, which version of
 * their data is asked for, and what has to be written for that before the definition can be applied.
 * Pure over a read of the store. Invariant: data that some service or kept revision asks for is not dropped.
 */
import { isDeepStrictEqual } from "node:util";
import { FailedPreconditionError, InvalidArgumentError, NotFoundError } from "../../../base/errors/errors.js";
import { newId } from "../../../base/random/ids.js";
import type { Random } from "../../../base/random/random.js";
import { Config, Secret } from "../../../proto/gen/skein/v1/objects.js";
import type { StackFile } from "../../../proto/gen/skein/v1/stack_types.js";
import { checkFileName } from "../../control/annotations.js";
import { CONFIG_BYTES_MAX } from "../../control/configs.js";
import { withFileData } from "../../control/data-rollout.js";
import { dataOfVersion, newestVersion } from "../../control/data-versions.js";
import { checkDriver, checkTemplate, SECRET_BYTES_MAX } from "../../control/secrets.js";
import type { ReadTx } from "../../store/types.js";
import { dataDigest } from "./data-digest.js";
import type { DefinitionFaults } from "./definition-faults.js";
import { type FileObject, fileName, labelled, versionWith } from "./definition-form.js";
import { checkOwner } from "./object-owner.js";
import type { SupposedTx } from "./supposed-tx.js";

export type FileKind = "secret" | "config";

/** What has to be in the store before a definition can be applied; nothing refers to it until then. */
export type FileWrite =
  | { readonly kind: "secret"; readonly object: Secret; readonly isNew: boolean }
  | { readonly kind: "config"; readonly object: Config; readonly isNew: boolean };

export interface CheckedFile {
  readonly kind: FileKind;
  /** With the object, version and digest of its data, and without the data. */
  readonly form: StackFile;
  /** As it is; undefined: it is new, or external. */
  readonly before: FileObject | undefined;
  readonly write: FileWrite | undefined;
}

export interface FileCheck {
  readonly tx: ReadTx;
  /** What is found is put here, for services to refer to. */
  readonly supposed: SupposedTx;
  readonly stackName: string;
  readonly random: Random;
  readonly faults: DefinitionFaults;
  /** Of the definition's own secrets and configs, by `versionKey`: what its services are to have. */
  readonly versions: Map<string, number>;
}

export function versionKey(kind: FileKind, name: string): string {
  return `${kind} ${name}`;
}

const BYTES_MAX: Record<FileKind, number> = { secret: SECRET_BYTES_MAX, config: CONFIG_BYTES_MAX };

export function checkFiles(
  kind: FileKind,
  files: readonly StackFile[],
  check: FileCheck,
): readonly CheckedFile[] {
  return files.flatMap((file) => {
    const found = check.faults.attempt(kind, file.key, () =>
      file.external ? externalFile(kind, file, check) : ownFile(kind, file, check),
    );
    return found === undefined ? [] : [found];
  });
}

function findByName(tx: ReadTx, kind: FileKind, name: string): FileObject | undefined {
  return kind === "secret"
    ? tx.list("secret", { by: "name", name })[0]
    : tx.list("config", { by: "name", name })[0];
}

function externalFile(kind: FileKind, file: StackFile, { tx }: FileCheck): CheckedFile {
  const name = fileName(file);
  const object = findByName(tx, kind, name);
  if (object === undefined)
    throw new NotFoundError(`external ${kind} ${name} is not there: create it first, or name another`);
  const form = formOf({ file, annotations: { name, labels: {} }, object });
  return { kind, form: { ...form, version: 0, dataSha256: "" }, before: undefined, write: undefined };
}

function ownFile(kind: FileKind, file: StackFile, check: FileCheck): CheckedFile {
  checkFileName(file.annotations, kind);
  checkTemplate(file.templateDriver);
  if (file.driverName !== "" && kind === "config")
    throw new InvalidArgumentError(`a config has no driver, got ${JSON.stringify(file.driverName)}`);
  const { tx, stackName, supposed, random, versions } = check;
  const before = findByName(tx, kind, fileName(file));
  checkOwner(kind, before?.annotations, stackName);
  if (before !== undefined && before.templateDriver !== file.templateDriver)
    throw new FailedPreconditionError(
      `its template driver is ${word(before.templateDriver)} and cannot become ${word(file.templateDriver)}: ` +
        "give it another name",
    );
  checkSameDriver(file, before);
  const annotations = labelled(file.annotations, stackName);
  const wanted = { file, annotations };
  const { object, isNew, version } =
    file.driverName !== ""
      ? drivenSecret(file, annotations, before ?? newId(random))
      : file.data.length === 0 && file.version > 0
        ? keptVersion(kind, file, before)
        : givenData(kind, { ...wanted, before, tx, id: before?.id ?? newId(random) });
  versions.set(versionKey(kind, fileName(file)), version);
  if (kind === "secret") supposed.put("secret", object as Secret);
  else supposed.put("config", object as Config); // found, or made, as that kind
  const write =
    object === before
      ? undefined
      : kind === "secret"
        ? ({ kind, object: object as Secret, isNew } as const)
        : ({ kind, object: object as Config, isNew } as const); // as above
  return { kind, form: { ...formOf({ ...wanted, object }), ...digestOf(object, version) }, before, write };
}

const word = (driver: string): string => driver || "none";

const driverOf = (object: FileObject): string => ("driverName" in object ? object.driverName : "");

/** @throws {FailedPreconditionError} the data came from elsewhere so far. */
function checkSameDriver(file: StackFile, before: FileObject | undefined): void {
  if (before === undefined || driverOf(before) === file.driverName) return;
  throw new FailedPreconditionError(
    `its driver is ${word(driverOf(before))} and cannot become ${word(file.driverName)}: give it another name`,
  );
}

/** Its data comes with each task. @param before the one that is there, or the id of a new one. */
function drivenSecret(
  file: StackFile,
  annotations: NonNullable<StackFile["annotations"]>,
  before: FileObject | string,
): { object: FileObject; isNew: boolean; version: number } {
  checkDriver(file);
  if (typeof before !== "string") {
    // found as a secret
    if (!isDeepStrictEqual((before as Secret).driverOptions, file.driverOptions))
      throw new FailedPreconditionError("its driver's options cannot change: give it another name");
    return { object: before, isNew: false, version: 1 };
  }
  const { driverName, driverOptions, templateDriver } = file;
  const made = { id: before, annotations, driverName, driverOptions, templateDriver, dataVersion: 1 };
  return { object: Secret.fromPartial(made), isNew: true, version: 1 };
}

/** The definition of an earlier revision asks for data that has a number already. */
function keptVersion(
  kind: FileKind,
  file: StackFile,
  before: FileObject | undefined,
): { object: FileObject; isNew: boolean; version: number } {
  const data = before === undefined ? undefined : dataOfVersion(before, file.version);
  if (before === undefined || data === undefined) {
    const what =
      before === undefined ? `the ${kind} was removed` : `version ${file.version} is not kept any more`;
    throw new InvalidArgumentError(
      `${what}, and its data is not in the revision: deploy the file that has it`,
    );
  }
  if (file.dataSha256 !== "" && dataDigest(data) !== file.dataSha256)
    throw new InvalidArgumentError(
      `version ${file.version} has other data than it had then: the ${kind} was removed and made anew`,
    );
  return { object: before, isNew: false, version: file.version };
}

function givenData(
  kind: FileKind,
  wanted: {
    readonly file: StackFile;
    readonly annotations: { name: string; labels: { [key: string]: string } };
    readonly before: FileObject | undefined;
    readonly tx: ReadTx;
    readonly id: string;
  },
): { object: FileObject; isNew: boolean; version: number } {
  const { file, annotations, before, tx, id } = wanted;
  const { data, templateDriver } = file;
  if (data.length === 0 || data.length > BYTES_MAX[kind]) {
    throw new InvalidArgumentError(
      `${kind} data must be larger than 0 and at most ${BYTES_MAX[kind]} bytes, got ${data.length}`,
    );
  }
  if (before === undefined) {
    const made = { id, annotations, data, templateDriver, dataVersion: 1 };
    const object = kind === "secret" ? Secret.fromPartial(made) : Config.fromPartial(made);
    return { object, isNew: true, version: 1 };
  }
  const known = versionWith(before, data);
  if (known !== undefined) return { object: before, isNew: false, version: known };
  const object =
    kind === "secret"
      ? withFileData(tx, "secret", before as Secret, { data, rollsOut: false })
      : withFileData(tx, "config", before as Config, { data, rollsOut: false }); // found as that kind
  return { object, isNew: false, version: newestVersion(object) };
}

function formOf(wanted: {
  readonly file: StackFile;
  readonly annotations: NonNullable<StackFile["annotations"]>;
  readonly object: FileObject;
}): StackFile {
  const { file, annotations, object } = wanted;
  return { ...file, annotations, data: new Uint8Array(), objectId: object.id };
}

function digestOf(object: FileObject, version: number): Pick<StackFile, "version" | "dataSha256"> {
  return { version, dataSha256: dataDigest(dataOfVersion(object, version) ?? new Uint8Array()) };
}
