/**
 * One compose file from text to long form: YAML, schema, types, shapes; then `extends`. Pure: other files are
 * read through the port of its surroundings.
 */
import { posix } from "node:path";
import { messageOf } from "../../base/errors/errors.js";
import { ComposeError, type Finding, type Path, pathText } from "./compose-error.js";
import { type Variables, variableOf } from "./interpolate.js";
import { PORTS_MAX, type Raw, rawOf } from "./long-form.js";
import { longProject } from "./long-project.js";
import { mergeServices } from "./merge.js";
import { isContainer, type Mark, type Sources } from "./sources.js";
import { typedValues } from "./typed-values.js";
import { validate } from "./validate.js";
import { readYaml } from "./yaml-tree.js";

export interface ComposeFile {
  /** As the caller named it: errors begin with it. */
  readonly name: string;
  readonly text: string;
}

/** How files of one model are read. */
export interface Reading {
  readonly sources: Sources;
  readonly home: string;
  readonly isVersion3: boolean;
  /** false: text with variables stays as it is, and so do places that need them. */
  readonly isInterpolated: boolean;
  /** Variables that a `.env` has which is not read: named in warnings. */
  readonly unreadVariables: Variables;
  readonly warnings: Finding[];
  /** @throws {InvalidArgumentError} */
  readText(path: string): Promise<string>;
}

export interface FileModel {
  readonly name: string;
  readonly root: Raw;
  readonly mark: Mark;
}

/** Where relative paths of a file begin, and what its variables are. */
export interface Scope {
  readonly folder: string;
  readonly variables: Variables;
}

/** @throws {ComposeError} with every finding of the first step that has some. */
export async function readFileModel(file: ComposeFile, scope: Scope, reading: Reading): Promise<FileModel> {
  const { sources, isInterpolated, isVersion3, warnings, home } = reading;
  const tree = readYaml(file, { sources, variables: isInterpolated ? scope.variables : undefined });
  for (const [variable, { path, mark }] of tree.unset) {
    const hint =
      variableOf(reading.unreadVariables, variable) === undefined
        ? ""
        : "; .env has it, but files with version 3 are read without it, as Docker does: use --env-file .env";
    const rule = `variable ${variable} is not set: it is empty${hint}`;
    warnings.push({ position: sources.positionOf(mark), key: pathText(path), rule });
  }
  warnings.push(...(await validate(tree, { sources, interpolated: isInterpolated, isVersion3 })));
  const findings: Finding[] = [];
  const value = typedValues(tree, sources, findings);
  const root = longProject(value, {
    sources,
    root: tree.value,
    rootMark: tree.mark,
    folder: scope.folder,
    home,
    isVersion3,
    isInterpolated,
    budget: { portsLeft: PORTS_MAX },
    findings,
    warnings,
  });
  if (findings.length > 0) throw new ComposeError(findings);
  return { name: file.name, root, mark: tree.mark };
}

/** A chain of services that extend each other may be that long. */
const CHAIN_MAX = 50;
/** Values that `extends` copies, over the whole model. */
const COPIED_MAX = 500_000;

/** Services of one file with what they extend. One for each model that is read: files are read once. */
export class Extender {
  readonly #reading: Reading;
  readonly #variables: Variables;
  readonly #files = new Map<string, Promise<FileModel>>();
  /** By file and name. */
  readonly #done = new Map<string, Raw>();
  #copied = 0;

  constructor(reading: Reading, variables: Variables) {
    this.#reading = reading;
    this.#variables = variables;
  }

  /** @throws {ComposeError} a cycle, or a base that is not there. */
  async run(model: FileModel): Promise<FileModel> {
    const services = rawOf(model.root["services"]);
    if (!Object.values(services).some((service) => rawOf(service)["extends"] !== undefined)) return model;
    const made: [string, Raw][] = [];
    for (const name of Object.keys(services)) made.push([name, await this.#service(model, name, [])]);
    const { sources } = this.#reading;
    const all = sources.set(Object.fromEntries(made), sources.of(services));
    const root = sources.set({ ...model.root, services: all }, sources.of(model.root));
    return { ...model, root };
  }

  async #service(model: FileModel, name: string, chain: readonly string[]): Promise<Raw> {
    const { sources, isVersion3 } = this.#reading;
    const service = rawOf(rawOf(model.root["services"])[name]);
    const given = service["extends"];
    if (given === undefined) return service;
    const { service: baseName, file } = rawOf(given);
    const path = ["services", name, "extends"];
    const link = `${name} (${model.name})`;
    const known = this.#done.get(link);
    if (known !== undefined) return known;
    if (chain.includes(link) || chain.length >= CHAIN_MAX)
      this.#fail(model, path, `services extend each other in a circle: ${[...chain, link].join(", then ")}`);
    const other = file === undefined ? model : await this.#file(String(file), model, path);
    const baseKey = String(baseName);
    if (!Object.hasOwn(rawOf(other.root["services"]), baseKey))
      this.#fail(model, path, `there is no service ${JSON.stringify(baseKey)} in ${other.name}`);
    const base = await this.#service(other, baseKey, [...chain, link]);
    this.#copied += sizeOf(base);
    if (this.#copied > COPIED_MAX) this.#fail(model, path, `extends brings more than ${COPIED_MAX} values`);
    const { extends: _, ...own } = service;
    const rules = { sources, isVersion3 };
    const made = mergeServices(base, sources.set(own, sources.of(service)), rules);
    this.#done.set(link, made);
    return made;
  }

  #file(path: string, model: FileModel, at: Path): Promise<FileModel> {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const read = this.#read(path, model, at);
    this.#files.set(path, read);
    return read;
  }

  async #read(path: string, model: FileModel, at: Path): Promise<FileModel> {
    let text: string;
    try {
      text = await this.#reading.readText(path);
    } catch (error) {
      return this.#fail(model, [...at, "file"], messageOf(error));
    }
    // paths of the other file begin at its own folder
    const scope = { folder: posix.dirname(path), variables: this.#variables };
    return readFileModel({ name: path, text }, scope, this.#reading);
  }

  #fail(model: FileModel, path: Path, rule: string): never {
    const position = this.#reading.sources.locate(model.root, path, model.mark);
    throw new ComposeError([{ position, key: pathText(path), rule }]);
  }
}

function sizeOf(value: unknown): number {
  if (!isContainer(value)) return 1;
  return Object.values(value).reduce<number>((sum, inner) => sum + sizeOf(inner), 1);
}
