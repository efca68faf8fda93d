import { countTasks } from "../../control/service-counts.js";
import { findStack } from "../deployment/begin.js";
import { isUnderWay } from "../deployment/stack-phase.js";
import { serviceTrouble } from "./service-trouble.js";
import { labelledStack } from "./stack-list.js";
export function stackNews(tx, name) {
    const stack = findStack(tx, name) ?? labelledStack(tx, name);
    if (stack === undefined)
        return { update: { stack, counts: [] }, isLast: true };
    const keys = new Map((stack.deployment?.services ?? []).map((service) => [service.name, service.key]));
    const counts = tx
        .list("service", { by: "stackName", stackName: name })
        .filter(({ pendingDelete }) => !pendingDelete)
        .map((service) => countsOf(tx, service, { stackName: name, keys }));
    return { update: { stack, counts }, isLast: !isUnderWay(stack) };
}
function countsOf(tx, service, named) {
    const name = service.spec?.annotations?.name ?? service.id;
    const tasks = tx.list("task", { by: "serviceId", serviceId: service.id });
    const node = (id) => tx.get("node", id);
    return {
        key: named.keys.get(name) ?? serviceKey(name, named.stackName),
        counts: countTasks(service, { tasks, node }),
        trouble: serviceTrouble(name, tasks, node),
    };
}
export function serviceKey(serviceName, stackName) {
    return serviceName.startsWith(`${stackName}_`) ? serviceName.slice(stackName.length + 1) : serviceName;
}
//# sourceMappingURL=stack-update.js.map