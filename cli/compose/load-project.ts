/**
 * Compose files, as text, to one checked project. Pure: files are read through `Surroundings`.
 * Invariant: what a service names is declared; every key of the files is in the result or in a warning.
 */
import { ComposeError, type Finding, type Path, type Position, pathText } from "./compose-error.js";
import { checkProject } from "./consistency.js";
import { ModelReader, SECTIONS } from "./include.js";
import type { Variables } from "./interpolate.js";
import { type Raw, rawOf } from "./long-form.js";
import type { ComposeDoc } from "./model.js";
import { activeServices } from "./profiles.js";
import type { ComposeFile } from "./read-file.js";
import { withVariables } from "./service-variables.js";
import { Sources } from "./sources.js";

export type { ComposeFile } from "./read-file.js";

export interface Surroundings {
  /** Folder that relative paths of the files begin at. */
  readonly folder: string;
  /** The home folder, for ~. */
  readonly home: string;
  /** Those of the shell before those of `.env` and --env-file. */
  readonly variables: Variables;
  /** Variables that a `.env` has which is not read: named in warnings. @default none */
  readonly unreadVariables?: Variables;
  /** Active ones; "*" is all. @default none */
  readonly profiles?: readonly string[];
  /** false: text with variables stays as it is. @default true */
  readonly interpolate?: boolean;
  /** @throws {InvalidArgumentError} */
  readText(path: string): Promise<string>;
  /** undefined when there is no such file. @throws {InvalidArgumentError} it cannot be read. */
  readOptional(path: string): Promise<string | undefined>;
}

export interface ComposeProject {
  readonly doc: ComposeDoc;
  /** Variables that are not set, and keys that mean nothing. */
  readonly warnings: readonly Finding[];
  /** What secrets and configs with `environment` are read from. */
  readonly variables: Variables;
  /** Files with `version: "3…"` are read as `docker stack deploy` reads them. */
  readonly isVersion3: boolean;
  /** Of a path of `doc`, or of its nearest ancestor that a file has. */
  locate(path: Path): Position;
}

/** Variables and labels that services have from files, altogether. */
const VARIABLES_MAX = 500_000;
/** Compose files of one project, at most. */
const FILES_MAX = 100;
const VERSION_3 = /^["']?version["']?[ \t]*:[ \t]*["']?3(?:\.\d+)?["']?[ \t\r]*(?:#.*)?$/;
const VERSION_3_OF_JSON = /^\s*\{\s*"version"\s*:\s*"?3/;

/** Whether a file is one of Docker's version 3; asked before it is parsed, as variables depend on it. */
export function isVersion3Text(text: string): boolean {
  for (let at = text.indexOf("version"); at >= 0; at = text.indexOf("version", at + 1)) {
    // a key of the file stands at the margin, but for a quote
    const start = /["']/.test(text[at - 1] ?? "") ? at - 1 : at;
    if (start > 0 && text[start - 1] !== "\n") continue;
    const end = text.indexOf("\n", at);
    if (VERSION_3.test(text.slice(start, end < 0 ? undefined : end))) return true;
  }
  return VERSION_3_OF_JSON.test(text);
}

const NAME = /^name[ \t]*:[ \t]*(["']?)([a-zA-Z0-9][\w-]*)\1[ \t\r]*(?:#.*)?$/m;

/** The name that a file gives, unless it is made of variables; asked before the file is parsed, as they may ask. */
export function writtenName(text: string): string | undefined {
  return NAME.exec(text)?.[2];
}

/** @throws {ComposeError} with every finding of the first step that has some. */
export async function loadProject(
  files: readonly ComposeFile[],
  surroundings: Surroundings,
): Promise<ComposeProject> {
  if (files.length > FILES_MAX)
    throw new ComposeError([
      { position: { file: files[0]?.name ?? "", line: 1 }, key: "", rule: `more than ${FILES_MAX} files` },
    ]);
  const sources = new Sources();
  const warnings: Finding[] = [];
  const isVersion3 = files.some(({ text }) => isVersion3Text(text));
  const isInterpolated = surroundings.interpolate !== false;
  const { folder, variables, unreadVariables = {}, profiles = [] } = surroundings;
  const reader = new ModelReader({
    sources,
    home: surroundings.home,
    isVersion3,
    isInterpolated,
    unreadVariables,
    warnings,
    readText: (path) => surroundings.readText(path),
    readOptional: (path) => surroundings.readOptional(path),
  });
  const { root, mark, scopes } = await reader.read(files, { folder, variables });
  const locate = (path: Path): Position => sources.locate(root, path, mark);
  const findings: Finding[] = [];
  const finding = (path: Path, rule: string): Finding => ({
    position: locate(path),
    key: pathText(path),
    rule,
  });
  const found = (path: Path, rule: string): void => {
    findings.push(finding(path, rule));
  };
  const services: Record<string, Raw> = {};
  const budget = { entriesLeft: VARIABLES_MAX };
  for (const name of activeServices(root, profiles)) {
    const service = rawOf(rawOf(root["services"])[name]);
    services[name] = isInterpolated
      ? await withVariables(service, ["services", name], {
          sources,
          isVersion3,
          budget,
          variables: scopes.get(name) ?? variables,
          readOptional: (path) => surroundings.readOptional(path),
          found,
        })
      : service;
  }
  const draft = documentOf(root, services);
  const doc = checkProject(draft, {
    isVersion3,
    disabled: new Set(Object.keys(rawOf(root["services"])).filter((name) => !Object.hasOwn(services, name))),
    found,
    warn: (path, rule) => {
      warnings.push(finding(path, rule));
    },
  });
  if (findings.length > 0) throw new ComposeError(findings);
  return { doc, warnings, variables, isVersion3, locate };
}

/** The last shape: sections that are always there, names of external objects, nothing that was done. */
function documentOf(root: Raw, services: Readonly<Record<string, Raw>>): ComposeDoc {
  const { include: _, ...rest } = root;
  const sections = SECTIONS.filter((section) => section !== "services" && section !== "models").map(
    (section): [string, Raw] => [
      section,
      Object.fromEntries(
        Object.entries(rawOf(root[section])).map(([key, value]) => [key, named(rawOf(value), key)]),
      ),
    ],
  );
  // the long form of what the schema allows is the model's
  return { ...rest, services, ...Object.fromEntries(sections) } as unknown as ComposeDoc;
}

function named(object: Raw, key: string): Raw {
  const { external, ...rest } = object;
  if (external !== true) return rest;
  return { name: key, ...rest, external: true };
}
