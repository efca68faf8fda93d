/**
 * Definitions for tests of stacks. Pure.
 */
import { StackDefinition } from "../../../proto/gen/skein/v1/stack_types.js";

type Partial_<T> = T extends { fromPartial(object: infer P): unknown } ? P : never;
export type DefinitionPartial = Partial_<typeof StackDefinition>;
type ServicePartial = NonNullable<DefinitionPartial["services"]>[number];

const replicated = (replicas: number) => ({ $case: "replicated", value: { replicas } }) as const;

export interface ServiceChange {
  readonly image?: string;
  readonly env?: readonly string[];
  readonly replicas?: number;
  readonly port?: number;
  readonly secrets?: readonly string[];
  readonly configs?: readonly string[];
  readonly networks?: readonly string[];
  readonly dependsOn?: ServicePartial["dependsOn"];
}

/** Service KEY of stack "shop", one task of image app:1, on network "shop_default". */
export function serviceOf(key: string, change: ServiceChange = {}): ServicePartial {
  const { port, secrets = [], configs = [], networks = ["shop_default"] } = change;
  return {
    key,
    dependsOn: change.dependsOn ?? [],
    spec: {
      annotations: { name: `shop_${key}` },
      mode: replicated(change.replicas ?? 1),
      task: {
        container: {
          image: change.image ?? "app:1",
          env: [...(change.env ?? [])],
          secrets: secrets.map((secretName) => ({ secretName })),
          configs: configs.map((configName) => ({ configName, file: { name: configName } })),
        },
        networks: networks.map((target) => ({ target, aliases: [key] })),
      },
      ...(port === undefined ? {} : { endpoint: { ports: [{ targetPort: 80, publishedPort: port }] } }),
    },
  };
}

export function fileOf(key: string, text: string) {
  return { key, annotations: { name: `shop_${key}` }, data: Buffer.from(text) };
}

/** With network "default", unless others are given. */
export function definitionOf(parts: DefinitionPartial): StackDefinition {
  const networks = [{ key: "default", spec: { annotations: { name: "shop_default" } } }];
  return StackDefinition.fromPartial({ networks, ...parts });
}
