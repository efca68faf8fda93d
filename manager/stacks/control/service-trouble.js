import { withShownStatus } from "../../causes/shown-status.js";
import { isRunning, isTerminal, isWanted, newestFirst } from "../../orchestrator/task-state.js";
const LENGTH_MAX = 200;
export function serviceTrouble(serviceName, tasks, node) {
    const waiting = tasks.filter((task) => isWanted(task) && !isTerminal(task) && !isRunning(task));
    if (waiting.length === 0)
        return "";
    const troubles = waiting.flatMap((task) => {
        const words = ownTrouble(task, node) || formerTrouble(task, tasks, node);
        if (words === "")
            return [];
        const host = node(task.nodeId)?.description?.hostname || task.nodeId;
        return [`${serviceName}.${task.slot || host}: ${words}`];
    });
    const [first] = troubles.sort();
    if (first === undefined)
        return "";
    const text = troubles.length === 1 ? first : `${first} (and ${troubles.length - 1} more)`;
    return text.length <= LENGTH_MAX ? text : `${text.slice(0, LENGTH_MAX - 1)}…`;
}
function ownTrouble(task, node) {
    const err = withShownStatus(task, node).status?.err ?? "";
    return err || (task.waits.findLast(({ untilMs }) => untilMs === 0)?.message ?? "");
}
function formerTrouble(task, tasks, node) {
    const former = newestFirst(tasks.filter((other) => other.id !== task.id &&
        other.slot === task.slot &&
        (task.slot > 0 || other.nodeId === task.nodeId) &&
        (other.status?.err ?? "") !== ""))[0];
    return former === undefined ? "" : (withShownStatus(former, node).status?.err ?? "");
}
//# sourceMappingURL=service-trouble.js.map