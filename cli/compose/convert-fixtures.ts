/**
 * Projects of one or few services, for tests of the conversion. Pure.
 */
import type { StackServiceBody } from "../../proto/stack-api.js";
import { pathText } from "./compose-error.js";
import { convertStack, type StackConversion } from "./convert-project.js";
import type { ComposeDoc, ServiceDoc } from "./model.js";

export const project = (services: ComposeDoc["services"], more: Partial<ComposeDoc> = {}): ComposeDoc => ({
  services,
  networks: {},
  volumes: {},
  secrets: {},
  configs: {},
  ...more,
});

/** What a value of the body of the service web is; path with dots and numbers. */
export function bodyPart(
  web: ServiceDoc,
  path: string,
  more: Partial<ComposeDoc> & { readonly others?: ComposeDoc["services"] } = {},
): unknown {
  const { others = {}, ...rest } = more;
  const { definition, faults } = convertStack("s", project({ web: { image: "i", ...web }, ...others }, rest));
  if (faults.length > 0)
    throw new Error(faults.map(({ path: at, rule }) => `${pathText(at)}: ${rule}`).join("\n"));
  const body = definition.Services.find(({ Key }) => Key === "web");
  return part(body?.Spec, path);
}

export function part(value: unknown, path: string): unknown {
  const parts = path === "" ? [] : path.split(".");
  return parts.reduce((at, key) => (at as Readonly<Record<string, unknown>> | undefined)?.[key], value);
}

/** "services.web.ports[0]: must be …" */
export const faultsOf = (doc: ComposeDoc): string[] => notesOf(convertStack("s", doc).faults);
export const warningsOf = (doc: ComposeDoc): string[] => notesOf(convertStack("s", doc).warnings);

const notesOf = (notes: StackConversion["faults"]): string[] =>
  notes.map(({ path, rule }) => `${pathText(path)}: ${rule}`);

export const dependenciesIn = (doc: ComposeDoc, key: string): StackServiceBody["DependsOn"] =>
  convertStack("s", doc).definition.Services.find((service) => service.Key === key)?.DependsOn;
