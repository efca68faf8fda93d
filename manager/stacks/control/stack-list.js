import { NotFoundError } from "../../../base/errors/errors.js";
import { Stack } from "../../../proto/gen/skein/v1/objects.js";
import { isLeaving } from "../../control/find-object.js";
import { countTasks } from "../../control/service-counts.js";
import { findStack } from "../deployment/begin.js";
import { stackOf } from "./definition-form.js";
const LABELLED = ["service", "network", "secret", "config"];
export function listStacks(tx) {
    const deployed = tx.list("stack");
    const names = new Set(deployed.map(({ annotations }) => annotations?.name ?? ""));
    const others = new Set();
    for (const service of tx.list("service")) {
        const name = stackOf(service.spec?.annotations);
        if (name !== "" && !names.has(name) && !isLeaving(service))
            others.add(name);
    }
    const stacks = [...deployed, ...[...others].map(stackWithoutRevision)];
    return {
        stacks: stacks
            .map((stack) => ({ stack, counts: countsOf(tx, stack.annotations?.name ?? "") }))
            .sort((a, b) => ((a.stack.annotations?.name ?? "") < (b.stack.annotations?.name ?? "") ? -1 : 1)),
    };
}
export function getStack(tx, name) {
    const stack = findStack(tx, name) ?? labelledStack(tx, name);
    if (stack === undefined)
        throw new NotFoundError(`stack ${name} not found`);
    return { stack, counts: countsOf(tx, name) };
}
export function labelledStack(tx, name) {
    const lookup = { by: "stackName", stackName: name };
    const isThere = LABELLED.some((table) => tx.list(table, lookup).some((object) => !isLeaving(object)));
    return isThere ? stackWithoutRevision(name) : undefined;
}
export function stackForRemoval(tx, name, id) {
    const stack = labelledStack(tx, name);
    if (stack === undefined)
        throw new NotFoundError(`stack ${name} not found`);
    return { ...stack, id };
}
function stackWithoutRevision(name) {
    return Stack.fromPartial({ annotations: { name, labels: {} } });
}
function countsOf(tx, stackName) {
    const sum = { services: 0, running: 0, desired: 0, completed: 0 };
    for (const service of tx.list("service", { by: "stackName", stackName })) {
        if (isLeaving(service))
            continue;
        const counts = countTasks(service, {
            tasks: tx.list("task", { by: "serviceId", serviceId: service.id }),
            node: (id) => tx.get("node", id),
        });
        sum.services += 1;
        sum.running += counts.running;
        sum.desired += counts.desired;
        sum.completed += counts.completed;
    }
    return sum;
}
//# sourceMappingURL=stack-list.js.map