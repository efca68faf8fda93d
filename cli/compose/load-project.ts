/**
 * Compose files, as text, to one checked project. Pure: files are read through `Surroundings`.
 * Invariant: every network, volume, secret and config that a service names is declared.
 */
import { ComposeError, type Finding, type Path, type Position, pathText } from "./compose-error.js";
import { mergeDocs } from "./merge.js";
import type { ComposeDoc, FileDoc, ServiceDoc } from "./model.js";
import { Normaliser, type Surroundings } from "./normalise.js";
import { validate } from "./validate.js";
import { readYaml, type YamlTree } from "./yaml-tree.js";

export interface ComposeFile {
  /** As the caller named it: errors begin with it. */
  readonly name: string;
  readonly text: string;
}

export interface ComposeProject {
  readonly doc: ComposeDoc;
  /** Keys without effect and variables that are not set. */
  readonly warnings: readonly Finding[];
  locate(path: Path): Position;
}

/** A compose file may be that long, in characters. */
const FILE_LENGTH_MAX = 4 * 1024 * 1024;

/** @throws {ComposeError} with every finding of the first faulty file. */
export async function loadProject(
  files: readonly ComposeFile[],
  surroundings: Surroundings,
): Promise<ComposeProject> {
  const trees: YamlTree[] = [];
  const docs: ComposeDoc[] = [];
  const warnings: Finding[] = [];
  for (const { name, text } of files) {
    if (text.length > FILE_LENGTH_MAX)
      throw new ComposeError([
        { position: { file: name, line: 1 }, key: "", rule: `is longer than ${FILE_LENGTH_MAX} characters` },
      ]);
    const tree = readYaml(text, { file: name, variables: surroundings.variables });
    for (const [variable, path] of tree.unset) {
      const rule = `variable ${variable} is not set: it is empty`;
      warnings.push({ position: tree.positionOf(path), key: pathText(path), rule });
    }
    warnings.push(...validate(tree));
    const normaliser = new Normaliser(tree, surroundings);
    docs.push(await normaliser.run());
    if (normaliser.findings.length > 0) throw new ComposeError(normaliser.findings);
    warnings.push(...normaliser.warnings);
    trees.push(tree);
  }
  const doc = mergeDocs(docs);
  const locate = (path: Path): Position => {
    const [best] = [...trees].reverse().sort((a, b) => b.knownDepth(path) - a.knownDepth(path));
    return best?.positionOf(path) ?? { file: files[0]?.name ?? "", line: 1 };
  };
  const findings = [...missing(doc), ...contradictions(doc)].map(({ path, rule }) => ({
    position: locate(path),
    key: pathText(path),
    rule,
  }));
  if (findings.length > 0) throw new ComposeError(findings);
  return { doc, warnings, locate };
}

const DATA_KEYS = ["file", "environment", "content", "driver"] as const;

interface Wrong {
  readonly path: Path;
  readonly rule: string;
}

/** What services name and nobody declares. */
function missing(doc: ComposeDoc): Wrong[] {
  return Object.entries(doc.services).flatMap(([name, service]) => {
    const path: Path = ["services", name];
    const undeclared = (
      kind: "networks" | "volumes" | "secrets" | "configs",
      used: readonly string[],
    ): Wrong[] =>
      used
        .filter((each) => !Object.hasOwn(doc[kind], each) && !(kind === "networks" && each === "default"))
        .map((each) => ({
          path: kind === "networks" ? [...path, kind, each] : [...path, kind],
          rule: `${kind.slice(0, -1)} ${JSON.stringify(each)} is not declared under the top-level ${kind}`,
        }));
    const volumes = (service.volumes ?? [])
      .filter(({ type, source }) => type === "volume" && source !== undefined)
      .map(({ source }) => source ?? "");
    return [
      ...(service.image === undefined ? [{ path, rule: "needs the key image" }] : []),
      ...undeclared("networks", Object.keys(service.networks ?? {})),
      ...undeclared("volumes", volumes),
      ...undeclared(
        "secrets",
        (service.secrets ?? []).map(({ source }) => source),
      ),
      ...undeclared(
        "configs",
        (service.configs ?? []).map(({ source }) => source),
      ),
    ];
  });
}

/** Keys that exclude each other. */
function contradictions(doc: ComposeDoc): Wrong[] {
  return [
    ...Object.entries(doc.services).flatMap(([name, service]) =>
      serviceContradictions(["services", name], service),
    ),
    ...(["secrets", "configs"] as const).flatMap((kind) =>
      Object.entries(doc[kind]).flatMap(([name, file]) => fileContradictions([kind, name], file)),
    ),
  ];
}

/** Data comes from one place. */
function fileContradictions(path: Path, file: FileDoc): Wrong[] {
  const given = DATA_KEYS.filter((key) => file[key] !== undefined);
  if (file.external === true) {
    return given.length === 0 ? [] : [{ path, rule: `is external: ${given.join(" and ")} must be left out` }];
  }
  if (given.length === 1) return [];
  const choices = path[0] === "configs" ? "file, environment, content" : "file, environment, driver";
  const found = given.length > 1 ? `, has ${given.join(" and ")}` : "";
  return [{ path, rule: `needs exactly one of ${choices} and external${found}` }];
}

function serviceContradictions(path: Path, service: ServiceDoc): Wrong[] {
  const wrong: Wrong[] = [];
  const { deploy, healthcheck } = service;
  const mode = deploy?.mode ?? "replicated";
  if (deploy?.replicas !== undefined && mode.startsWith("global"))
    wrong.push({
      path: [...path, "deploy", "replicas"],
      rule: `can only be used with mode replicated or replicated-job, not with ${mode}`,
    });
  if (healthcheck?.disable === true && (healthcheck.test?.length ?? 0) > 0)
    wrong.push({ path: [...path, "healthcheck", "disable"], rule: "excludes test" });
  for (const [i, mount] of (service.volumes ?? []).entries()) {
    if (mount.type === "bind" && mount.source === undefined)
      wrong.push({ path: [...path, "volumes", i], rule: "needs a source, as its type is bind" });
  }
  return wrong;
}
