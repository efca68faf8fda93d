import { compareServiceSpecs } from "../../control/spec-comparison.js";
import { deepEqual } from "../../orchestrator/spec-equality.js";
import { networkChange } from "../deployment/stack-networks.js";
const NOTHING = { networks: [], secrets: [], configs: [], services: [] };
export function definitionChanges(before = NOTHING, after = NOTHING) {
    return [
        ...changesOf("network", before.networks, after.networks, sameNetwork),
        ...changesOf("secret", before.secrets, after.secrets, sameFile),
        ...changesOf("config", before.configs, after.configs, sameFile),
        ...changesOf("service", before.services, after.services, sameService),
    ];
}
function changesOf(kind, before, after, same) {
    const [old, next] = [before, after].map((list) => new Map(list.map((one) => [one.key, one])));
    const keys = [...new Set([...before, ...after].map(({ key }) => key))].sort();
    return keys.flatMap((key) => {
        const [was, is] = [old?.get(key), next?.get(key)];
        if (was !== undefined && is !== undefined && same(was, is))
            return [];
        return [{ kind, key, before: was, after: is }];
    });
}
function sameNetwork(a, b) {
    if (a.external !== b.external)
        return false;
    const [old, next] = [a.spec, b.spec];
    if (a.external)
        return old?.annotations?.name === next?.annotations?.name;
    if (old === undefined || next === undefined)
        return old === next;
    return (networkChange(old, next) === "same" &&
        old.annotations?.name === next.annotations?.name &&
        old.ipamConfigs.length === next.ipamConfigs.length);
}
function sameFile(a, b) {
    if (a.external !== b.external)
        return false;
    if (a.external)
        return a.annotations?.name === b.annotations?.name;
    return (deepEqual(a.annotations, b.annotations) &&
        a.templateDriver === b.templateDriver &&
        a.driverName === b.driverName &&
        deepEqual(a.driverOptions, b.driverOptions) &&
        a.dataSha256 === b.dataSha256);
}
function sameService(a, b) {
    if (!deepEqual(a.dependsOn, b.dependsOn))
        return false;
    if (a.spec === undefined || b.spec === undefined)
        return a.spec === b.spec;
    return compareServiceSpecs(a.spec, b.spec).same;
}
//# sourceMappingURL=definition-changes.js.map