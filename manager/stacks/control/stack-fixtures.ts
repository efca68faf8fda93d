/**
 * Definitions for tests of stacks, and a store in which what is deployed is reached at once. Pure.
 */
import { Network, Service } from "../../../proto/gen/skein/v1/objects.js";
import {
  RevisionOutcome,
  StackDefinition,
  StackOnFailure,
  StackPhase,
} from "../../../proto/gen/skein/v1/stack_types.js";
import type { DeployStackReply, DeployStackRequest } from "../../../proto/gen/skein/v1/stacks.js";
import { createTestStore, type TestStore } from "../../../test/support/test-store.js";
import type { ReadTx } from "../../store/types.js";
import { storedSpec } from "./definition-form.js";
import { StackControl } from "./stack-control.js";

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

export const ASK: Omit<DeployStackRequest, "definition"> = {
  name: "shop",
  prune: false,
  onFailure: StackOnFailure.GO_BACK,
  timeoutMs: 0,
  madeBy: "anna@host1",
  dryRun: false,
};

export const ONE = { $case: "replicated", value: { replicas: 1 } } as const;

export interface World extends TestStore {
  readonly control: StackControl;
  deploy(definition: StackDefinition, change?: Partial<DeployStackRequest>): Promise<DeployStackReply>;
  /** What the leader's loop does when all goes well, at once. */
  reach(): Promise<void>;
  view<T>(read: (tx: ReadTx) => T): T;
}

export async function world(): Promise<World> {
  const base = createTestStore({ seed: "stacks" });
  const control = new StackControl(base);
  const { store } = base;
  const ingress = { annotations: { name: "ingress" }, driver: "overlay", ingress: true };
  await store.update((tx) => tx.create("network", Network.fromPartial({ id: "mesh", spec: ingress })));
  return {
    ...base,
    control,
    view: (read) => store.view(read),
    deploy: (definition, change = {}) => control.deploy({ ...ASK, definition, ...change }),
    reach: async () => {
      await store.update((tx) => {
        const stack = tx.list("stack")[0];
        const revision = tx.list("stackRevision").find(({ outcome }) => outcome === RevisionOutcome.PENDING);
        const definition = revision?.definition;
        if (stack === undefined || revision === undefined || definition === undefined) return;
        for (const { spec, external } of definition.networks) {
          const name = spec?.annotations?.name ?? "";
          if (!external && tx.list("network", { by: "name", name }).length === 0)
            tx.create("network", Network.fromPartial({ id: `net-${name}`, spec: spec ?? {} }));
        }
        for (const { spec } of definition.services) {
          if (spec === undefined) continue;
          const name = spec.annotations?.name ?? "";
          const before = tx.list("service", { by: "name", name })[0];
          const next = storedSpec(tx, spec, before?.spec);
          const specVersion = { index: 0 };
          if (before === undefined)
            tx.create("service", Service.fromPartial({ id: `svc-${name}`, spec: next, specVersion }));
          else tx.update("service", { ...before, spec: next, specVersion });
        }
        tx.update("stackRevision", { ...revision, outcome: RevisionOutcome.GOOD });
        tx.update("stack", {
          ...stack,
          goodRevision: revision.number,
          deployment: stack.deployment && { ...stack.deployment, phase: StackPhase.REACHED, endedAtMs: 1 },
        });
      });
    },
  };
}
