/**
 * What a service's files of variables and labels say, and what its names without value stand for. Pure: files
 * are read through the port.
 * Order: env_file from first to last, then `environment`; label_file, then `labels`.
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Path } from "./compose-error.js";
import { type EnvEntries, parseDotenv, parsePlainEnv } from "./dotenv.js";
import { type Variables, variableOf } from "./interpolate.js";
import { listOf, type Raw, rawOf } from "./long-form.js";
import type { Sources } from "./sources.js";

export interface VariableFiles {
  readonly sources: Sources;
  readonly isVersion3: boolean;
  readonly variables: Variables;
  /** Of the whole project: what files may bring yet. */
  readonly budget: { entriesLeft: number };
  /** undefined when there is none. @throws {InvalidArgumentError} it cannot be read. */
  readOptional(path: string): Promise<string | undefined>;
  found(path: Path, rule: string): void;
}

/** @returns the service with `environment` and `labels` as a container gets them. */
export async function withVariables(service: Raw, path: Path, files: VariableFiles): Promise<Raw> {
  const { env_file: envFiles, label_file: labelFiles } = service;
  const made: Record<string, unknown> = { ...service };
  if (envFiles !== undefined || service["environment"] !== undefined) {
    const all = new Map<string, string | null>();
    for (const [i, entry] of listOf(envFiles).entries())
      for (const [name, value] of await readEntries(rawOf(entry), [...path, "env_file", i], files, all))
        all.set(name, value);
    for (const [name, value] of Object.entries(rawOf(service["environment"])))
      all.set(name, value as string | null); // the long form's
    made["environment"] = marked(looked(all, files), service["environment"], files);
  }
  if (labelFiles !== undefined) {
    const labels: Record<string, unknown> = {};
    for (const [i, file] of listOf(labelFiles).entries())
      for (const [name, value] of await readEntries({ path: file }, [...path, "label_file", i], files))
        labels[name] = value ?? "";
    made["labels"] = marked({ ...labels, ...rawOf(service["labels"]) }, service["labels"], files);
  }
  const build = rawOf(service["build"]);
  if (build["args"] !== undefined) {
    // the long form's
    const args = new Map(Object.entries(rawOf(build["args"])) as [string, string | null][]);
    made["build"] = files.sources.set({ ...build, args: looked(args, files) }, files.sources.of(build));
  }
  return files.sources.set(made, files.sources.of(service));
}

const marked = (value: Raw, old: unknown, { sources }: VariableFiles): Raw =>
  sources.set(value, sources.of(old));

/** Names without value take the environment's; in version 3 files empty ones do, too, as with Docker. */
function looked(
  entries: EnvEntries,
  { variables, isVersion3 }: VariableFiles,
): Record<string, string | null> {
  return Object.fromEntries(
    [...entries].map(([name, value]) => [
      name,
      value === null || (isVersion3 && value === "") ? (variableOf(variables, name) ?? value) : value,
    ]),
  );
}

async function readEntries(
  entry: Raw,
  at: Path,
  files: VariableFiles,
  before: EnvEntries = new Map(),
): Promise<EnvEntries> {
  const { path, required, format } = entry;
  const file = String(path);
  try {
    const text = await files.readOptional(file);
    if (text === undefined) {
      if (required !== false) files.found(at, `cannot read ${file}: there is no such file`);
      return new Map();
    }
    const parse = files.isVersion3 || format === "raw" ? parsePlainEnv : parseDotenv;
    const entries = parse(text, { variables: files.variables, before, file });
    files.budget.entriesLeft -= entries.size;
    if (files.budget.entriesLeft >= 0) return entries;
    files.found(at, "brings too many variables: together the services' files have more than can be read");
    return new Map();
  } catch (error) {
    files.found(at, messageOf(error));
    return new Map();
  }
}
