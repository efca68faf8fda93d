/**
 * Projects in memory, for tests: files by absolute path. Pure.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { ComposeError, findingText } from "./compose-error.js";
import type { Variables } from "./interpolate.js";
import { type ComposeProject, loadProject } from "./load-project.js";
import type { ServiceDoc } from "./model.js";

export interface MemoryProject {
  /** Texts of the compose files, in order: compose.yml, more1.yml, … */
  readonly files: readonly string[];
  /** What else there is, by absolute path; the project's folder is /project. */
  readonly others?: Readonly<Record<string, string>>;
  readonly variables?: Variables;
  readonly unreadVariables?: Variables;
  readonly profiles?: readonly string[];
  readonly interpolate?: boolean;
}

export function loadMemory(project: MemoryProject): Promise<ComposeProject> {
  const { files, others = {}, variables = {}, ...rest } = project;
  return loadProject(
    files.map((text, i) => ({ name: i === 0 ? "compose.yml" : `more${i}.yml`, text })),
    {
      ...rest,
      folder: "/project",
      home: "/root",
      variables,
      readText: async (path) => {
        const text = others[path];
        if (text === undefined) throw new InvalidArgumentError(`cannot read ${path}: there is no such file`);
        return text;
      },
      readOptional: async (path) => others[path],
    },
  );
}

/** The service `web` of these files. */
export async function webOf(...files: readonly string[]): Promise<ServiceDoc> {
  const { doc } = await loadMemory({ files });
  return doc.services["web"] ?? {};
}

/** What is said against the project, line by line. */
export async function faultsOf(project: MemoryProject): Promise<string[]> {
  try {
    await loadMemory(project);
  } catch (error) {
    if (error instanceof ComposeError) return error.findings.map(findingText);
    throw error;
  }
  throw new Error("the project was accepted");
}

export async function warningsOf(project: MemoryProject): Promise<string[]> {
  return (await loadMemory(project)).warnings.map(findingText);
}

/** `image: i` and these keys, as the service web. */
export const web = (...lines: readonly string[]): string =>
  ["services:", "  web:", "    image: i", ...lines.map((line) => `    ${line}`), ""].join("\n");
