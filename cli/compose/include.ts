/**
 * Several files as one model, with the models they include: each of those is read with its own folder and
 * variables, and what it defines is taken over. Pure: files are read through the port.
 * Source: Compose Specification, "Include". A definition that two models have is refused unless it is the
 * same.
 */
import { posix } from "node:path";
import { messageOf } from "../../base/errors/errors.js";
import { ComposeError, type Finding, type Path, pathText } from "./compose-error.js";
import { parseDotenv } from "./dotenv.js";
import type { Variables } from "./interpolate.js";
import { listOf, type Raw, rawOf } from "./long-form.js";
import { mergeProjects } from "./merge.js";
import {
  type ComposeFile,
  Extender,
  type FileModel,
  type Reading,
  readFileModel,
  type Scope,
} from "./read-file.js";
import { Marks } from "./sources.js";

export const SECTIONS = ["services", "networks", "volumes", "secrets", "configs", "models"] as const;

export interface Model {
  readonly root: Raw;
  readonly mark: number;
  /** Variables a service's files and names are looked up in, by service. */
  readonly scopes: ReadonlyMap<string, Variables>;
}

export interface IncludeReading extends Reading {
  /** undefined when there is none. @throws {InvalidArgumentError} it cannot be read. */
  readOptional(path: string): Promise<string | undefined>;
}

/** Models within models, and models altogether. */
const DEPTH_MAX = 20;
const MODELS_MAX = 200;

export class ModelReader {
  readonly #reading: IncludeReading;
  #models = 0;

  constructor(reading: IncludeReading) {
    this.#reading = reading;
  }

  /** @param chain files that include this one. @throws {ComposeError} */
  async read(files: readonly ComposeFile[], scope: Scope, chain: readonly string[] = []): Promise<Model> {
    const { sources, isVersion3 } = this.#reading;
    const extender = new Extender(this.#reading, scope.variables);
    let merged: FileModel | undefined;
    for (const file of files) {
      const model = await extender.run(await readFileModel(file, scope, this.#reading));
      merged =
        merged === undefined
          ? model
          : { ...merged, root: mergeProjects(merged.root, model.root, { sources, isVersion3 }) };
    }
    const { root = {}, mark = 0 } = merged ?? {};
    const services = Object.keys(rawOf(root["services"]));
    const scopes = new Map(services.map((name) => [name, scope.variables]));
    let model: Model = { root, mark, scopes };
    for (const [i, entry] of listOf(root["include"]).entries())
      model = await this.#included(model, { entry: rawOf(entry), at: ["include", i], scope, chain });
    return model;
  }

  async #included(
    model: Model,
    { entry, at, scope, chain }: { entry: Raw; at: Path; scope: Scope; chain: readonly string[] },
  ): Promise<Model> {
    const paths = listOf(entry["path"]).map(String);
    const [first] = paths;
    if (first === undefined) return this.#fail(model, at, "needs the key path");
    if (chain.includes(first) || chain.length >= DEPTH_MAX)
      this.#fail(model, at, `files include each other in a circle: ${[...chain, first].join(", then ")}`);
    this.#models += 1;
    if (this.#models > MODELS_MAX) this.#fail(model, at, `more than ${MODELS_MAX} files are included`);
    const folder = String(entry["project_directory"] ?? posix.dirname(first));
    try {
      const variables = await this.#variables(entry, folder, scope.variables);
      const files = await Promise.all(
        paths.map(async (name) => ({ name, text: await this.#reading.readText(name) })),
      );
      const other = await this.read(files, { folder, variables }, [...chain, first]);
      return this.#taken(model, other, at);
    } catch (error) {
      if (error instanceof ComposeError) throw error;
      return this.#fail(model, at, messageOf(error));
    }
  }

  /** Its env_file, else `.env` of its folder; what the including model has comes first. */
  async #variables(entry: Raw, folder: string, outer: Variables): Promise<Variables> {
    const own: Record<string, string> = {};
    const named = listOf(entry["env_file"]).map(String);
    const add = (text: string, file: string): void => {
      for (const [name, value] of parseDotenv(text, { variables: { ...own, ...outer }, file }))
        if (value !== null) own[name] = value;
    };
    for (const file of named) add(await this.#reading.readText(file), file);
    if (named.length === 0) {
      const file = posix.join(folder, ".env");
      const text = await this.#reading.readOptional(file);
      if (text !== undefined) add(text, file);
    }
    return { ...own, ...outer };
  }

  #taken(model: Model, other: Model, at: Path): Model {
    const { sources } = this.#reading;
    const conflicts: Finding[] = [];
    const scopes = new Map(model.scopes);
    const root: Record<string, unknown> = { ...model.root };
    for (const section of SECTIONS) {
      const [mine, theirs] = [rawOf(model.root[section]), rawOf(other.root[section])];
      const taken = Object.entries(theirs).filter(([name, value]) => {
        if (!Object.hasOwn(mine, name)) return true;
        if (JSON.stringify(mine[name]) === JSON.stringify(value)) return false;
        const path = [section, name];
        const { file, line } = sources.locate(other.root, path, other.mark);
        const rule = `is defined in ${file}:${line}, too, which is included (${pathText(at)}): one must go`;
        conflicts.push({ position: sources.locate(model.root, path, model.mark), key: pathText(path), rule });
        return false;
      });
      if (taken.length === 0) continue;
      const marks = Marks.of(sources.of(theirs).marks, sources.of(mine).marks);
      root[section] = sources.set({ ...mine, ...Object.fromEntries(taken) }, { marks });
      if (section === "services") for (const [name] of taken) scopes.set(name, other.scopes.get(name) ?? {});
    }
    if (conflicts.length > 0) throw new ComposeError(conflicts);
    return { root: sources.set(root, sources.of(model.root)), mark: model.mark, scopes };
  }

  #fail(model: Model, path: Path, rule: string): never {
    const position = this.#reading.sources.locate(model.root, path, model.mark);
    throw new ComposeError([{ position, key: pathText(path), rule }]);
  }
}
