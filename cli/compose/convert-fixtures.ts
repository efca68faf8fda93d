/**
 * Projects of one or few services, for tests of the conversion. Pure.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { StackObjectBody, StackServiceBody } from "../../proto/stack-api.js";
import type { Json } from "../service/flag-values.js";
import { pathText } from "./compose-error.js";
import { convertStack, type DataSource, type StackConversion } from "./convert-project.js";
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

export interface StackNetwork {
  readonly name: string;
  readonly external: boolean;
  /** Body of POST /networks/create. */
  readonly body: Json;
}

export interface StackFile {
  readonly name: string;
  readonly external: boolean;
  /** Body of POST /secrets/create or /configs/create without its data. */
  readonly body: Json;
  /** Where the data comes from; none for external ones and for those a driver supplies. */
  readonly source?: DataSource;
}

export interface StackObjects {
  /** Only those that some service uses. */
  readonly networks: readonly StackNetwork[];
  readonly secrets: readonly StackFile[];
  readonly configs: readonly StackFile[];
  /** Bodies of POST /services/create. */
  readonly services: readonly Json[];
}

/**
 * What a project becomes, object by object, each with where its data comes from.
 * @throws {InvalidArgumentError} everything that is refused.
 */
export function stackObjects(stack: string, project: ComposeDoc): StackObjects {
  const { definition, data, faults } = convertStack(stack, project);
  if (faults.length > 0)
    throw new InvalidArgumentError(faults.map(({ path, rule }) => `${pathText(path)}: ${rule}`).join("\n"));
  const files = (kind: "secrets" | "configs", list: readonly StackObjectBody[] = []): StackFile[] =>
    list.map(({ Key, External, Spec }) => {
      const source = data.find((each) => each.kind === kind && each.key === Key)?.source;
      return {
        name: String(Spec["Name"]),
        external: External === true,
        body: { ...Spec },
        ...(source === undefined ? {} : { source }),
      };
    });
  return {
    networks: (definition.Networks ?? []).map(({ External, Spec }) => ({
      name: String(Spec["Name"]),
      external: External === true,
      body: { ...Spec },
    })),
    secrets: files("secrets", definition.Secrets),
    configs: files("configs", definition.Configs),
    services: definition.Services.map(({ Spec }) => ({ ...Spec })),
  };
}
