/**
 * A compose project as the definition of a stack: bodies for the API, by kind. Pure.
 * Data of secrets and configs is not read here: `data` says where it comes from.
 */
import { posix } from "node:path";
import { messageOf } from "../../base/errors/errors.js";
import type { StackDefinitionBody, StackObjectBody } from "../../proto/stack-api.js";
import { given, type Json } from "../service/flag-values.js";
import { ComposeError, type Finding, pathText } from "./compose-error.js";
import { conformanceNotes } from "./conformance-check.js";
import { buildOf, type StackBuild } from "./convert-build.js";
import { dependenciesOf, impliedJobs, refuseCycles } from "./convert-dependencies.js";
import { linksOf, networksOf } from "./convert-networks.js";
import type { Note } from "./convert-notes.js";
import { withPreStart } from "./convert-pre-start.js";
import { isVersioned, type ServiceScope } from "./convert-scope.js";
import { serviceSpec } from "./convert-service.js";
import type { ComposeProject } from "./load-project.js";
import type { ComposeDoc, FileDoc } from "./model.js";
import { type Naming, namingOf, stackLabels } from "./naming.js";

export interface DataSource {
  readonly kind: "file" | "environment" | "content";
  readonly value: string;
}

/** Data that the definition's objects still miss. */
export interface StackData {
  readonly kind: "secrets" | "configs";
  readonly key: string;
  readonly source: DataSource;
}

export interface StackConversion {
  /** Without Data. Keys are the file's; external objects have their Name alone. */
  readonly definition: StackDefinitionBody;
  readonly data: readonly StackData[];
  readonly builds: readonly StackBuild[];
  /** Keys without effect, with the reason. */
  readonly warnings: readonly Note[];
  /** Keys that are refused: the definition is of no use. */
  readonly faults: readonly Note[];
}

const SOURCES = ["file", "environment", "content"] as const;

function sourceOf(doc: FileDoc): DataSource | undefined {
  if (doc.external === true) return undefined;
  return SOURCES.flatMap((kind) => (doc[kind] === undefined ? [] : [{ kind, value: doc[kind] }]))[0];
}

function fileBody(stack: string, name: string, doc: FileDoc): Json {
  if (doc.external === true) return { Name: name };
  return given({
    Name: name,
    Labels: stackLabels(stack, doc.labels),
    Driver: doc.driver === undefined ? undefined : { Name: doc.driver, Options: doc.driver_opts ?? {} },
    Templating: doc.template_driver === undefined ? undefined : { Name: doc.template_driver },
  });
}

/** "STACK_SERVICE" where a build names no image. */
const imageOf = (key: string, project: ComposeDoc, naming: Naming): string | undefined => {
  const { image, build } = project.services[key] ?? {};
  return image ?? (build === undefined ? undefined : naming.serviceName(key).toLowerCase());
};

export function convertStack(stack: string, written: ComposeDoc): StackConversion {
  const notes = conformanceNotes(written);
  const naming = namingOf(stack, written);
  const project = withPreStart(written, (key) => imageOf(key, written, naming));
  const jobs = impliedJobs(project);
  const dependencies = new Map<string, ReturnType<typeof dependenciesOf>>();
  const builds: StackBuild[] = [];
  const versioned = isVersioned(project);
  const links = linksOf(project);
  const services = Object.entries(project.services).flatMap(([key, service]) => {
    const scope: ServiceScope = {
      ...{ key, service, project, naming, notes, versioned, links },
    };
    const image = imageOf(key, project, naming);
    if (image === undefined && service.provider === undefined)
      notes.refuse(["services", key], "needs the key image, or build");
    const dependsOn = dependenciesOf(scope);
    dependencies.set(key, dependsOn);
    try {
      const build = image === undefined ? undefined : buildOf(key, service, image);
      if (build !== undefined) builds.push(build);
      const Spec = serviceSpec(scope, { image, impliedJob: jobs.has(key) });
      return [{ Key: key, Spec, ...(dependsOn.length === 0 ? {} : { DependsOn: dependsOn }) }];
    } catch (error) {
      notes.refuse(["services", key], messageOf(error)); // a value that the schema let pass
      return [];
    }
  });
  refuseCycles(dependencies, notes);
  const networks = networksOf(project, { stack, nameOf: (key) => naming.nameOf("networks", key) }, notes).map(
    ({ key, name, external, body }) => objectBody(key, external, external ? { Name: name } : body),
  );
  const files = (kind: "secrets" | "configs"): StackObjectBody[] =>
    Object.entries(project[kind]).map(([key, doc]) =>
      objectBody(key, doc.external === true, fileBody(stack, naming.nameOf(kind, key), doc)),
    );
  const data = (["secrets", "configs"] as const).flatMap((kind) =>
    Object.entries(project[kind]).flatMap(([key, doc]): StackData[] => {
      const source = sourceOf(doc);
      return source === undefined ? [] : [{ kind, key, source }];
    }),
  );
  return {
    definition: {
      Networks: networks,
      Secrets: files("secrets"),
      Configs: files("configs"),
      Services: services,
    },
    data,
    builds,
    warnings: notes.warnings,
    faults: notes.faults,
  };
}

function objectBody(key: string, external: boolean, spec: Json): StackObjectBody {
  return { Key: key, ...(external ? { External: true } : {}), Spec: spec };
}

/** @throws {ComposeError} everything that is refused, with file and line. */
export function convertProject(
  stack: string,
  project: ComposeProject,
): Omit<StackConversion, "warnings" | "faults"> & { readonly warnings: readonly Finding[] } {
  const { faults, warnings, builds, ...rest } = convertStack(stack, project.doc);
  const placed = ({ path, rule }: Note): Finding => ({
    position: project.locate(path),
    key: pathText(path),
    rule,
  });
  if (faults.length > 0) throw new ComposeError(faults.map(placed));
  const here = (service: string): string =>
    posix.dirname(project.locate(["services", service, "build"]).file);
  return {
    ...rest,
    builds: builds.map((build) =>
      build.context === "" ? { ...build, context: here(build.service) } : build,
    ),
    warnings: warnings.map(placed),
  };
}
