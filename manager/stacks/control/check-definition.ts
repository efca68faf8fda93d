/**
 * A definition against every rule and the whole store, before anything changes.
 * Pure over a read of the store, in slices. Invariant: either all faults are thrown together, or what is
 * answered can be stored and applied as long as nobody changes the store meanwhile.
 */
import { InvalidArgumentError, TooLargeError } from "../../../base/errors/errors.js";
import type { Random } from "../../../base/random/random.js";
import { StackDefinition } from "../../../proto/gen/skein/v1/stack_types.js";
import type { ReadTx } from "../../store/types.js";
import { type CheckedFile, checkFiles, type FileCheck, type FileWrite } from "./check-files.js";
import { type CheckedNetwork, checkNetworks } from "./check-networks.js";
import { type CheckedService, checkServices } from "./check-services.js";
import { DefinitionFaults } from "./definition-faults.js";
import { fileName, networkName } from "./definition-form.js";
import { checkDependencies } from "./dependency-graph.js";
import { type LeftOver, leftOverOf } from "./left-over.js";
import type { Sliced } from "./look-ahead.js";
import { SupposedTx } from "./supposed-tx.js";

/** Bytes of an encoded definition without data: a revision is one object of the store. */
export const DEFINITION_BYTES_MAX = 900 * 1024;
/** Of each kind: each service looks at the ports of all others. */
const OBJECTS_MAX = 500;
/** Names of stacks begin the names of services, which become host names. */
const STACK_NAME = /^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9])*$/;
const STACK_NAME_LENGTH_MAX = 63;

export interface CheckedDefinition {
  /** In the form that revisions have. */
  readonly definition: StackDefinition;
  readonly networks: readonly CheckedNetwork[];
  readonly files: readonly CheckedFile[];
  readonly services: readonly CheckedService[];
  /** What has to be written for it to be applied; nothing refers to it before. */
  readonly writes: readonly FileWrite[];
  readonly leftOver: readonly LeftOver[];
  /** The store as it will be. */
  readonly supposed: SupposedTx;
}

export interface CheckOptions {
  readonly name: string;
  readonly definition: StackDefinition;
  /** What the definition does not have goes, and frees its ports. */
  readonly prune: boolean;
  readonly random: Random;
}

export function isStackName(name: string): boolean {
  return name.length <= STACK_NAME_LENGTH_MAX && STACK_NAME.test(name);
}

/** @throws {InvalidArgumentError} */
export function checkStackName(name: string): void {
  if (isStackName(name)) return;
  throw new InvalidArgumentError(
    `invalid stack name ${JSON.stringify(name)}: 1 to ${STACK_NAME_LENGTH_MAX} letters, digits, "-" and "_" ` +
      "are allowed, the first and the last one a letter or a digit",
  );
}

/** @throws {InvalidArgumentError} with a line for each fault; {TooLargeError}. */
export function* checkDefinition(tx: ReadTx, options: CheckOptions): Sliced<CheckedDefinition> {
  const { name, definition, prune, random } = options;
  checkStackName(name);
  const faults = new DefinitionFaults();
  checkCounts(definition);
  checkKeysAndNames(definition, faults);
  const supposed = new SupposedTx(tx);
  const check: FileCheck = { tx, supposed, stackName: name, random, faults, versions: new Map() };
  const leftOver = leftOverOf(tx, name, definition);
  if (prune) for (const { kind, id } of leftOver) if (kind === "service") supposed.remove(kind, id);
  const networks = checkNetworks(definition.networks, check);
  const files = [
    ...checkFiles("secret", definition.secrets, check),
    ...checkFiles("config", definition.configs, check),
  ];
  const services = yield* checkServices(definition.services, check);
  checkDependencies(definition, faults);
  faults.throwIfAny();
  yield;
  const form: StackDefinition = {
    networks: networks.map((network) => network.form),
    secrets: files.filter(({ kind }) => kind === "secret").map((file) => file.form),
    configs: files.filter(({ kind }) => kind === "config").map((file) => file.form),
    services: services.map((service) => service.form),
  };
  checkSize(form);
  const writes = files.flatMap(({ write }) => (write === undefined ? [] : [write]));
  return { definition: form, networks, files, services, writes, leftOver, supposed };
}

function checkCounts({ networks, secrets, configs, services }: StackDefinition): void {
  if (services.length === 0) throw new InvalidArgumentError("a stack needs at least one service");
  for (const [what, { length }] of Object.entries({ networks, secrets, configs, services })) {
    if (length > OBJECTS_MAX)
      throw new InvalidArgumentError(`a stack may have at most ${OBJECTS_MAX} ${what}, got ${length}`);
  }
}

function checkSize(definition: StackDefinition): void {
  const bytes = StackDefinition.encode(definition).finish().length;
  if (bytes <= DEFINITION_BYTES_MAX) return;
  throw new TooLargeError(
    `a stack may have ${DEFINITION_BYTES_MAX} bytes beside the data of its secrets and configs, ` +
      `got ${bytes}: put some of its services into a stack of their own`,
  );
}

function checkKeysAndNames(definition: StackDefinition, faults: DefinitionFaults): void {
  const kinds = [
    ["network", definition.networks.map((one) => ({ key: one.key, name: networkName(one) }))],
    ["secret", definition.secrets.map((one) => ({ key: one.key, name: fileName(one) }))],
    ["config", definition.configs.map((one) => ({ key: one.key, name: fileName(one) }))],
    ["service", definition.services.map(({ key, spec }) => ({ key, name: spec?.annotations?.name ?? "" }))],
  ] as const;
  for (const [kind, objects] of kinds) {
    const keys = new Set<string>();
    const names = new Map<string, string>();
    for (const { key, name } of objects) {
      if (key === "") faults.add(kind, name, `a ${kind} needs a key`);
      if (keys.has(key)) faults.add(kind, key, "the key is given twice");
      const holder = names.get(name.toLowerCase());
      if (name !== "" && holder !== undefined)
        faults.add(kind, key, `its name ${name} is that of ${holder}, too`);
      keys.add(key);
      names.set(name.toLowerCase(), key);
    }
  }
}
