import { FailedPreconditionError, InternalError, InvalidArgumentError, NotFoundError, } from "../../../base/errors/errors.js";
import { newId } from "../../../base/random/ids.js";
import { RevisionOrigin, RevisionOutcome, StackPhase, } from "../../../proto/gen/skein/v1/stack_types.js";
import { deepEqual } from "../../orchestrator/spec-equality.js";
import { beginDeployment, beginRemoval, findStack, revisionOf, } from "../deployment/begin.js";
import { changeWords } from "./change-words.js";
import { checkDefinition, checkStackName } from "./check-definition.js";
import { definitionChanges } from "./definition-changes.js";
import { leftOverWarnings } from "./left-over.js";
import { stackForRemoval } from "./stack-list.js";
const TIMEOUT_MS_MAX = 24 * 3_600_000;
const MADE_BY_LENGTH_MAX = 128;
const FILE_BYTES_AT_ONCE_MAX = 1024 * 1024;
const LOOKS_MAX = 3;
export class StackControl {
    #components;
    constructor(components) {
        this.#components = components;
    }
    async deploy(request) {
        const { definition } = request;
        if (definition === undefined)
            throw new InvalidArgumentError("a stack needs a definition");
        const options = this.#options(request);
        return this.#accept(() => ({
            ...{ name: request.name, definition, options, dryRun: request.dryRun },
            ...{ origin: RevisionOrigin.DEPLOY, restores: 0 },
        }));
    }
    async rollback(request) {
        checkStackName(request.name);
        const options = this.#options({ ...request, prune: true });
        return this.#accept((tx) => {
            const old = revisionToRestore(tx, request.name, request.revision);
            const { definition } = old;
            if (definition === undefined)
                throw new InternalError(`revision ${old.number} of stack ${request.name} has no definition`);
            return {
                ...{ name: request.name, definition: withNewestCredentials(tx, definition), options, dryRun: false },
                ...{ origin: RevisionOrigin.ROLLBACK, restores: old.restores || old.number },
            };
        });
    }
    async remove({ name }) {
        checkStackName(name);
        const { store, clock, random } = this.#components;
        await store.update((tx) => {
            if (findStack(tx, name) === undefined)
                tx.create("stack", stackForRemoval(tx, name, newId(random)));
            beginRemoval(tx, { name, nowMs: clock.nowMs() });
        });
    }
    #options(request) {
        const { timeoutMs, madeBy } = request;
        if (!(timeoutMs >= 0 && timeoutMs <= TIMEOUT_MS_MAX))
            throw new InvalidArgumentError(`the timeout of a deployment must be from 0 to ${TIMEOUT_MS_MAX} ms (24 h), got ${timeoutMs}`);
        const { clock, random } = this.#components;
        return {
            ...{ prune: request.prune, onFailure: request.onFailure, timeoutMs },
            madeBy: madeBy.slice(0, MADE_BY_LENGTH_MAX),
            nowMs: clock.nowMs(),
            newId: () => newId(random),
        };
    }
    async #accept(wish) {
        const { store } = this.#components;
        for (let look = 0; look < LOOKS_MAX; look++) {
            const looked = await store.update((tx) => this.#look(tx, wish(tx)));
            if (looked.kind === "done")
                return looked.reply;
            for (const write of looked.writes)
                await store.update((tx) => writeFile(tx, write));
        }
        throw new FailedPreconditionError("others change the stack's secrets or configs at the same time: nothing was deployed");
    }
    #look(tx, wish) {
        const { name, definition, options, dryRun, origin, restores } = wish;
        const { prune } = options;
        const checked = checkDefinition(tx, { name, definition, prune, random: this.#components.random });
        const stack = findStack(tx, name);
        if (stack?.deployment?.phase === StackPhase.REMOVING)
            throw new FailedPreconditionError(`stack ${name} is being removed: wait until it is gone`);
        const current = stack && revisionInForce(tx, stack);
        const warnings = prune ? [] : leftOverWarnings(checked.leftOver);
        if (stack !== undefined && current !== undefined && changesNothing(checked, { current, prune })) {
            const reply = { stack, revision: current.number, changed: false, warnings };
            return { kind: "done", reply };
        }
        if (dryRun)
            return { kind: "done", reply: { stack, revision: 0, changed: true, warnings } };
        if (bytesOf(checked.writes) > FILE_BYTES_AT_ONCE_MAX)
            return { kind: "data-first", writes: checked.writes };
        for (const write of checked.writes)
            writeFile(tx, write);
        const changes = changeWords(definitionChanges(current?.definition, checked.definition), current === undefined);
        const begun = beginDeployment(tx, {
            ...options,
            ...{ name, definition: checked.definition, changes, origin, restores },
        });
        const reply = { stack: begun.stack, revision: begun.revision.number, changed: true, warnings };
        return { kind: "done", reply };
    }
}
export function revisionInForce(tx, stack) {
    const isApplied = stack.deployment?.phase === StackPhase.APPLYING;
    return revisionOf(tx, stack.id, isApplied ? stack.newestRevision : stack.goodRevision);
}
function changesNothing(checked, { current, prune }) {
    if (definitionChanges(current.definition, checked.definition).length > 0)
        return false;
    if (current.outcome === RevisionOutcome.PENDING)
        return true;
    return matchesCluster(checked) && !(prune && checked.leftOver.length > 0);
}
export function matchesCluster({ networks, files, services }) {
    return (networks.every(({ before, after }) => before === after) &&
        files.every(({ before, write, form }) => form.external || (write === undefined && deepEqual(before?.annotations, form.annotations))) &&
        services.every(({ same }) => same));
}
function bytesOf(writes) {
    return writes.reduce((sum, { object }) => sum + object.oldVersions.reduce((bytes, { data }) => bytes + data.length, object.data.length), 0);
}
function writeFile(tx, { kind, object, isNew }) {
    if (isNew)
        tx.create(kind, object);
    else
        tx.update(kind, object);
}
function revisionToRestore(tx, name, number) {
    const stack = findStack(tx, name);
    if (stack === undefined)
        throw new NotFoundError(`stack ${name} has no revisions`);
    if (number !== 0) {
        const found = revisionOf(tx, stack.id, number);
        if (found === undefined)
            throw new NotFoundError(`revision ${number} of stack ${name} is not there, or not kept any more`);
        return found;
    }
    const there = revisionInForce(tx, stack);
    const before = tx
        .list("stackRevision", { by: "stackId", stackId: stack.id })
        .filter((revision) => revision.outcome === RevisionOutcome.GOOD &&
        revision.number < (there?.number ?? stack.newestRevision + 1) &&
        definitionChanges(revision.definition, there?.definition).length > 0)
        .sort((a, b) => b.number - a.number)[0];
    if (before === undefined)
        throw new FailedPreconditionError(`stack ${name} has no good revision before the one that is there`);
    return before;
}
function withNewestCredentials(tx, definition) {
    const services = definition.services.map((service) => {
        const name = service.spec?.annotations?.name ?? "";
        const auth = tx.list("service", { by: "name", name })[0]?.spec?.task?.container?.pullAuth ?? "";
        return auth === "" ? service : { ...service, registryAuth: auth };
    });
    return { ...definition, services };
}
//# sourceMappingURL=stack-control.js.map