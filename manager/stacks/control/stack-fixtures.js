import { Network, Service } from "../../../proto/gen/skein/v1/objects.js";
import { RevisionOutcome, StackDefinition, StackOnFailure, StackPhase, } from "../../../proto/gen/skein/v1/stack_types.js";
import { createTestStore } from "../../../test/support/test-store.js";
import { storedSpec } from "./definition-form.js";
import { StackControl } from "./stack-control.js";
const replicated = (replicas) => ({ $case: "replicated", value: { replicas } });
export function serviceOf(key, change = {}) {
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
export function fileOf(key, text) {
    return { key, annotations: { name: `shop_${key}` }, data: Buffer.from(text) };
}
export function definitionOf(parts) {
    const networks = [{ key: "default", spec: { annotations: { name: "shop_default" } } }];
    return StackDefinition.fromPartial({ networks, ...parts });
}
export const ASK = {
    name: "shop",
    prune: false,
    onFailure: StackOnFailure.GO_BACK,
    timeoutMs: 0,
    madeBy: "anna@host1",
    dryRun: false,
};
export const ONE = { $case: "replicated", value: { replicas: 1 } };
export async function world() {
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
                if (stack === undefined || revision === undefined || definition === undefined)
                    return;
                for (const { spec, external } of definition.networks) {
                    const name = spec?.annotations?.name ?? "";
                    if (!external && tx.list("network", { by: "name", name }).length === 0)
                        tx.create("network", Network.fromPartial({ id: `net-${name}`, spec: spec ?? {} }));
                }
                for (const { spec } of definition.services) {
                    if (spec === undefined)
                        continue;
                    const name = spec.annotations?.name ?? "";
                    const before = tx.list("service", { by: "name", name })[0];
                    const next = storedSpec(tx, spec, before?.spec);
                    const specVersion = { index: 0 };
                    if (before === undefined)
                        tx.create("service", Service.fromPartial({ id: `svc-${name}`, spec: next, specVersion }));
                    else
                        tx.update("service", { ...before, spec: next, specVersion });
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
//# sourceMappingURL=stack-fixtures.js.map