import { NotFoundError } from "../../../base/errors/errors.js";
import { findStack } from "../deployment/begin.js";
import { stackChanges } from "./change-details.js";
import { definitionChanges } from "./definition-changes.js";
import { definitionNow } from "./definition-now.js";
import { findRevision } from "./stack-answers.js";
export function diffStack(tx, { name, from, to }) {
    const stack = findStack(tx, name);
    if (stack === undefined)
        throw new NotFoundError(`stack ${name} has no revisions`);
    const revision = (number) => number === 0 ? undefined : findRevision(tx, { stackId: stack.id, name, number }).definition;
    const [before, after] = [revision(from), revision(to)];
    const changes = definitionChanges(before ?? definitionNow(tx, { stackName: name, like: after }), after ?? definitionNow(tx, { stackName: name, like: before }));
    return { changes: stackChanges(changes) };
}
//# sourceMappingURL=diff-stack.js.map