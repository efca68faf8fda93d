import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { planOfCase } from "../../plan/answer-plan.js";
import { pictureOf } from "../../scheduler/what-if-question.js";
import { stackChanges } from "./change-details.js";
import { checkDefinition } from "./check-definition.js";
import { definitionChanges } from "./definition-changes.js";
import { definitionNow } from "./definition-now.js";
import { leftOverWarnings } from "./left-over.js";
export async function planStack(components, request) {
    const { name, definition, prune } = request;
    if (definition === undefined)
        throw new InvalidArgumentError("a stack needs a definition");
    const { store, random } = components;
    const posed = store.view((tx) => {
        const checked = checkDefinition(tx, { name, definition, prune, random });
        const now = definitionNow(tx, { stackName: name, like: checked.definition });
        const goes = prune ? checked.leftOver : [];
        const changes = definitionChanges(now, checked.definition).filter((change) => change.after !== undefined || goes.some((left) => isOne(left, change)));
        const picture = { ...pictureOf(tx), networks: checked.supposed.list("network") };
        return { changes, picture, suppositions: suppositionsOf(tx, checked, prune), leftOver: checked.leftOver };
    });
    const { changes, picture, suppositions } = posed;
    const plan = suppositions.length === 0
        ? undefined
        : await planOfCase(components, { title: `deployment of stack ${name}`, picture, suppositions });
    const warnings = prune ? [] : leftOverWarnings(posed.leftOver);
    return { changes: stackChanges(changes), plan, warnings };
}
function isOne({ kind, name }, change) {
    if (kind !== change.kind || change.before === undefined)
        return false;
    const { before } = change;
    return ("spec" in before ? before.spec?.annotations?.name : before.annotations?.name) === name;
}
function suppositionsOf(tx, checked, prune) {
    const removed = new Set();
    for (const { before, after } of checked.services)
        if (before !== undefined && before.id !== after.id)
            removed.add(before.id);
    for (const { kind, id } of prune ? checked.leftOver : [])
        if (kind === "service")
            removed.add(id);
    return [
        ...[...removed]
            .filter((id) => tx.get("service", id) !== undefined)
            .map((serviceId) => ({ kind: "serviceRemoved", serviceId })),
        ...checked.services
            .filter(({ same }) => !same)
            .map(({ after }) => ({ kind: "service", service: after })),
    ];
}
//# sourceMappingURL=plan-stack.js.map