import { isLeaving } from "../../control/find-object.js";
import { findStack } from "../deployment/begin.js";
import { keptFiles } from "../deployment/leftovers.js";
import { isReplaced } from "../deployment/stack-networks.js";
import { fileName, networkName, stackOf } from "./definition-form.js";
const NAMES_MAX = 10;
export function leftOverWarnings(leftOver) {
    if (leftOver.length === 0)
        return [];
    const names = leftOver.slice(0, NAMES_MAX).map(({ kind, name }) => `${kind} ${name}`);
    const more = leftOver.length - names.length;
    const all = `${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
    return [`not in the definition, and left as ${leftOver.length === 1 ? "it is" : "they are"}: ${all}`];
}
function isMadeWay(object) {
    return "vni" in object && isReplaced(object);
}
export function leftOverOf(tx, stackName, definition) {
    const lookup = { by: "stackName", stackName };
    const named = (names) => new Set(names.map((name) => name.toLowerCase()));
    const wanted = {
        network: named(definition.networks.map(networkName)),
        secret: named(definition.secrets.map(fileName)),
        config: named(definition.configs.map(fileName)),
        service: named(definition.services.map(({ spec }) => spec?.annotations?.name ?? "")),
    };
    const all = [
        ...tx.list("service", lookup).map((object) => ({ kind: "service", object })),
        ...tx.list("network", lookup).map((object) => ({ kind: "network", object })),
        ...tx.list("secret", lookup).map((object) => ({ kind: "secret", object })),
        ...tx.list("config", lookup).map((object) => ({ kind: "config", object })),
    ];
    const stack = findStack(tx, stackName);
    const kept = stack === undefined ? new Set() : keptFiles(tx, stack.id);
    return all.flatMap(({ kind, object }) => {
        const annotations = "spec" in object ? object.spec?.annotations : object.annotations;
        const name = annotations?.name ?? "";
        const isLeft = !isLeaving(object) &&
            !isMadeWay(object) &&
            !kept.has(object.id) &&
            stackOf(annotations) === stackName &&
            !wanted[kind].has(name.toLowerCase());
        return isLeft ? [{ kind, id: object.id, name }] : [];
    });
}
//# sourceMappingURL=left-over.js.map