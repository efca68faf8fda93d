import { StackCondition, } from "../../../proto/gen/skein/v1/stack_types.js";
import { RestartCondition } from "../../../proto/gen/skein/v1/types.js";
export function checkDependencies({ services }, faults) {
    const byKey = new Map(services.map((service) => [service.key, service]));
    for (const { key, dependsOn } of services) {
        for (const { service, condition, optional } of dependsOn) {
            const other = byKey.get(service);
            if (service === key)
                faults.add("service", key, "depends_on: it depends on itself");
            else if (other === undefined && !optional)
                faults.add("service", key, `depends_on: there is no service ${service} in the stack`);
            else if (other !== undefined && condition === StackCondition.COMPLETED && neverCompletes(other))
                faults.add("service", key, `depends_on: it waits until ${service} has completed, which is restarted whenever it ends: ` +
                    "make that a job, or its restart condition on-failure or none");
            else if (other !== undefined && condition === StackCondition.HEALTHY && hasNoHealth(other))
                faults.add("service", key, `depends_on: it waits until ${service} is healthy, whose health check is switched off`);
        }
    }
    const circle = findCircle(services, byKey);
    if (circle !== undefined)
        faults.add("stack", "", `depends_on goes round in a circle: ${circle.join(", ")}`);
}
function neverCompletes({ spec }) {
    const mode = spec?.mode?.$case;
    if (mode === "replicatedJob" || mode === "globalJob")
        return false;
    const condition = spec?.task?.restart?.condition ?? RestartCondition.ANY;
    return condition === RestartCondition.ANY && (spec?.task?.restart?.maxAttempts ?? 0) === 0;
}
function hasNoHealth({ spec }) {
    return spec?.task?.container?.healthcheck?.test[0] === "NONE";
}
function findCircle(services, byKey) {
    const done = new Set();
    for (const { key: start } of services) {
        const path = [];
        const enter = (key) => {
            path.push({ key, next: (byKey.get(key)?.dependsOn ?? []).map(({ service }) => service) });
        };
        if (!done.has(start))
            enter(start);
        for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
            const next = top.next.pop();
            if (next === undefined) {
                done.add(top.key);
                path.pop();
                continue;
            }
            const at = path.findIndex(({ key }) => key === next);
            if (at >= 0 && next !== top.key)
                return [...path.slice(at).map(({ key }) => key), next];
            if (at < 0 && byKey.has(next) && !done.has(next))
                enter(next);
        }
    }
    return undefined;
}
//# sourceMappingURL=dependency-graph.js.map