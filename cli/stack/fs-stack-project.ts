/**
 * What a command's flags say of compose files, as the definition of a stack. Edge: to files, the environment
 * and the process's folder.
 */
import { access } from "node:fs/promises";
import { hostname, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import type { StackDefinitionBody, StackObjectBody } from "../../proto/stack-api.js";
import type { StackBuild } from "../compose/convert-build.js";
import type { ComposeProject } from "../compose/load-project.js";
import type { ComposeDoc } from "../compose/model.js";

export interface ProjectFlags {
  readonly composeFile?: readonly string[];
  readonly envFile?: readonly string[];
  readonly profile?: readonly string[];
  readonly projectDirectory?: string;
}

export interface StackProject {
  readonly stack: string;
  readonly doc: ComposeDoc;
  readonly definition: StackDefinitionBody;
  /** What `--build` has to do. */
  readonly builds: readonly StackBuild[];
  readonly warnings: readonly string[];
}

const STACK_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_-]*$/;

/** @throws {InvalidArgumentError} */
export function checkStackName(name: string): string {
  if (!STACK_NAME.test(name))
    throw new InvalidArgumentError(
      `the name of a stack must begin with a letter or digit and hold only letters, digits, _ and -, ` +
        `got ${JSON.stringify(name)}`,
    );
  return name;
}

/** Names of the Compose Specification, best first, and what overrides them. */
const FILES = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
const OVERRIDES = FILES.map((name) => name.replace(/\.ya?ml$/, ".override$&"));

/**
 * Files of --compose-file, else of COMPOSE_FILE, else the folder's own with its override.
 * @throws {InvalidArgumentError} there are none.
 */
export async function composeFilesOf(flags: ProjectFlags): Promise<readonly string[]> {
  const { composeFile = [] } = flags;
  if (composeFile.length > 0) return composeFile;
  const named = process.env["COMPOSE_FILE"] ?? "";
  if (named !== "") return named.split(process.env["COMPOSE_PATH_SEPARATOR"] ?? ":");
  const folder = resolve(flags.projectDirectory ?? ".");
  const first = async (names: readonly string[]): Promise<string[]> => {
    for (const name of names) if (await isThere(join(folder, name))) return [join(folder, name)];
    return [];
  };
  const found = await first(FILES);
  if (found.length === 0)
    throw new InvalidArgumentError(
      `there is no compose file in ${folder} (${FILES.join(", ")}): name one with -c FILE, ` +
        `or - for standard input`,
    );
  return [...found, ...(await first(OVERRIDES))];
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false; // one that may not be read is named by who reads it with -c
  }
}

/** "anna@host1": who asks, as the history shows it. */
export function askedBy(): string {
  let user = process.env["USER"] ?? "";
  try {
    user = userInfo().username;
  } catch (error) {
    // a user id without an entry in the system's list of users
    if (user === "") user = messageOf(error).includes("ENOENT") ? String(process.getuid?.() ?? "") : user;
  }
  return `${user === "" ? "unknown" : user}@${hostname()}`;
}

/**
 * The files that the flags name, as one project.
 * @param name of the stack; undefined: the files' own counts.
 * @throws {InvalidArgumentError} {ComposeError} what is wrong with the files, each fault by file and line.
 */
export async function readFiles(
  name: string | undefined,
  flags: ProjectFlags,
  options: { readonly interpolate: boolean },
): Promise<{ readonly files: readonly string[]; readonly project: ComposeProject }> {
  const [files, { readProject }] = await Promise.all([
    composeFilesOf(flags),
    import("../compose/file-project.js"),
  ]);
  const { envFile, profile, projectDirectory } = flags;
  const project = await readProject(files, {
    ...(envFile === undefined ? {} : { envFiles: envFile }),
    ...(profile === undefined ? {} : { profiles: profile }),
    ...(projectDirectory === undefined ? {} : { projectDirectory }),
    ...(name === undefined ? {} : { variables: { ...process.env, COMPOSE_PROJECT_NAME: name } }),
    interpolate: options.interpolate,
  });
  return { files, project };
}

/** @throws {InvalidArgumentError} {ComposeError} */
export async function readStackProject(name: string | undefined, flags: ProjectFlags): Promise<StackProject> {
  if (name !== undefined) checkStackName(name);
  const [
    { files, project },
    { readFileObject },
    { convertProject },
    { ComposeError, findingText, inFileOrder },
  ] = await Promise.all([
    readFiles(name, flags, { interpolate: true }),
    import("../compose/file-project.js"),
    import("../compose/convert-project.js"),
    import("../compose/compose-error.js"),
  ]);
  const stack = name ?? project.doc.name;
  if (stack === undefined)
    throw new InvalidArgumentError(
      `the stack needs a name: write it behind the command, or as name: into ` +
        `${files[0] === "-" ? "the file" : files[0]}`,
    );
  checkStackName(stack);
  if (Object.keys(project.doc.services).length === 0)
    throw new InvalidArgumentError(`${files.join(", ")}: services: needs at least one service`);
  const { definition, builds, warnings } = convertProject(stack, project);
  const withData = (
    kind: "secrets" | "configs",
    objects: readonly StackObjectBody[] = [],
  ): Promise<StackObjectBody[]> =>
    Promise.all(
      objects.map(async (object) => {
        const doc = project.doc[kind][object.Key];
        const name = `${kind.slice(0, -1)} ${object.Key}`;
        try {
          const data = doc && (await readFileObject(name, doc, project.variables));
          return data === undefined
            ? object
            : { ...object, Spec: { ...object.Spec, Data: data.toString("base64") } };
        } catch (error) {
          const path = [kind, object.Key];
          const finding = {
            position: project.locate([...path, doc?.file === undefined ? "environment" : "file"]),
            key: path.join("."),
            rule: messageOf(error),
          };
          throw new ComposeError([finding], { cause: error });
        }
      }),
    );
  return {
    stack,
    doc: project.doc,
    builds,
    warnings: inFileOrder([...project.warnings, ...warnings]).map(findingText),
    definition: {
      ...definition,
      Secrets: await withData("secrets", definition.Secrets),
      Configs: await withData("configs", definition.Configs),
    },
  };
}
