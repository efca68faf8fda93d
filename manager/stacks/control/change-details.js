import { Service, Task } from "../../../proto/gen/skein/v1/objects.js";
import { StackCondition, } from "../../../proto/gen/skein/v1/stack_types.js";
import { describeSpecChange } from "../../control/spec-change.js";
import { isDirty } from "../../orchestrator/spec-equality.js";
import { networkChange } from "../deployment/stack-networks.js";
import { networkSpecFields, serviceFields } from "./spec-fields.js";
const VALUE_LENGTH_MAX = 200;
const FIELDS_MAX = 100;
const LINES_MAX = 2_000;
export function stackChanges(changes) {
    let lines = 0;
    return changes.map((change) => {
        const told = stackChange(change);
        const fields = bounded(told.fields, Math.min(FIELDS_MAX, Math.max(0, LINES_MAX - lines)));
        lines += fields.length;
        return { ...told, fields };
    });
}
function stackChange(change) {
    const { kind, key, before, after } = change;
    const plain = { kind, key, fields: [], restartsTasks: false, reason: "" };
    if (before === undefined)
        return { ...plain, action: "add" };
    if (after === undefined) {
        const reason = kind === "service" ? "its tasks end" : "";
        return { ...plain, action: "remove", reason };
    }
    switch (change.kind) {
        case "network":
            return { ...plain, ...changedNetwork(change) };
        case "secret":
        case "config":
            return {
                ...plain,
                action: "change",
                fields: fieldChanges(fileFields(change.before), fileFields(change.after)),
            };
        case "service":
            return { ...plain, ...changedService(change) };
    }
}
function changedNetwork({ before, after }) {
    const [old, next] = [before?.spec, after?.spec];
    const fields = fieldChanges(networkSpecFields(old), networkSpecFields(next));
    const isSame = next === undefined || before?.external || after?.external;
    if (isSame || networkChange(old, next) !== "replace")
        return { action: "change", fields, reason: "" };
    const reason = "what changes of it cannot be changed: it is made anew, and its services move to the new one";
    return { action: "replace", fields, reason };
}
function fileFields(file) {
    const fields = new Map();
    if (file === undefined)
        return fields;
    if (file.external)
        fields.set("external", "true");
    fields.set("name", file.annotations?.name ?? "");
    if (file.version > 0)
        fields.set("data", `version ${file.version}`);
    if (file.templateDriver !== "")
        fields.set("template_driver", file.templateDriver);
    for (const [label, value] of Object.entries(file.annotations?.labels ?? {}))
        fields.set(`labels.${label}`, value);
    return fields;
}
function changedService({ before, after }) {
    const fields = fieldChanges(fieldsOf(before), fieldsOf(after));
    const [old, next] = [before?.spec, after?.spec];
    if (old === undefined || next === undefined)
        return { action: "change", fields, reason: "" };
    if (old.mode?.$case !== next.mode?.$case) {
        const reason = "a service cannot change its mode: it is removed, and made anew";
        return { action: "replace", fields, reason, restartsTasks: true };
    }
    return { action: "change", fields, ...restartOf(old, next) };
}
function fieldsOf(service) {
    if (service?.spec === undefined)
        return new Map();
    const fields = new Map(serviceFields(service.spec));
    for (const dependency of service.dependsOn) {
        fields.set(`depends_on.${dependency.service}`, dependencyText(dependency));
    }
    return fields;
}
function dependencyText({ condition, optional, restart }) {
    const words = {
        [StackCondition.HEALTHY]: "healthy",
        [StackCondition.COMPLETED]: "completed",
    };
    return [
        words[condition] ?? "started",
        ...(optional ? ["optional"] : []),
        ...(restart ? ["restart"] : []),
    ].join(", ");
}
export function restartOf(before, after) {
    const isJob = after.mode?.$case === "replicatedJob" || after.mode?.$case === "globalJob";
    const task = Task.fromPartial({ endpoint: before.endpoint === undefined ? {} : { spec: before.endpoint } });
    const asBefore = { ...task, spec: before.task, gatewayAddress: "any" };
    const service = { ...Service.fromPartial({}), spec: withConstraintsOf(before, after) };
    if (!isDirty(asBefore, service, undefined)) {
        const moves = describeSpecChange(before, after).split(", ").includes("constraints");
        return {
            restartsTasks: false,
            reason: moves ? "tasks on nodes that do not meet the constraints are replaced" : "",
        };
    }
    const words = describeSpecChange(before, { ...before, task: after.task }) || "published ports";
    return {
        restartsTasks: true,
        reason: isJob ? `the job runs again: ${words}` : `tasks are replaced: ${words}`,
    };
}
function withConstraintsOf(before, after) {
    const constraints = before.task?.placement?.constraints ?? [];
    const placement = after.task?.placement ?? before.task?.placement;
    if (after.task === undefined || placement === undefined)
        return after;
    const own = after.task.placement ?? { ...placement, platforms: [], spreadPreferences: [], maxReplicas: 0 };
    return { ...after, task: { ...after.task, placement: { ...own, constraints } } };
}
function fieldChanges(before, after) {
    const paths = [...new Set([...before.keys(), ...after.keys()])].sort(byPath);
    const changes = paths.flatMap((path) => {
        const [old = "", next = ""] = [before.get(path), after.get(path)];
        return old === next ? [] : [{ path, ...apart(old, next) }];
    });
    return changes.length > 0 ? changes : [{ path: "other settings", before: "", after: "" }];
}
function byPath(a, b) {
    const rank = (path) => (path === "image" ? 0 : 1);
    return rank(a) - rank(b) || (a < b ? -1 : 1);
}
function apart(before, after) {
    let same = 0;
    if (before.length > VALUE_LENGTH_MAX || after.length > VALUE_LENGTH_MAX) {
        while (same < before.length && before[same] === after[same])
            same += 1;
    }
    const from = same > VALUE_LENGTH_MAX / 2 ? same - VALUE_LENGTH_MAX / 4 : 0;
    return { before: cut(before, from), after: cut(after, from) };
}
function cut(text, from) {
    const start = from > 0 && text !== "" ? `…${text.slice(from)}` : text;
    return start.length <= VALUE_LENGTH_MAX ? start : `${start.slice(0, VALUE_LENGTH_MAX - 1)}…`;
}
function bounded(fields, max) {
    if (fields.length <= max)
        return fields;
    const more = fields.length - Math.max(0, max - 1);
    return [...fields.slice(0, Math.max(0, max - 1)), { path: "…", before: "", after: `and ${more} more` }];
}
//# sourceMappingURL=change-details.js.map