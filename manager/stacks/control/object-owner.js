import { AlreadyExistsError } from "../../../base/errors/errors.js";
import { stackOf } from "./definition-form.js";
export function checkOwner(kind, annotations, stackName) {
    if (annotations === undefined)
        return;
    const owner = stackOf(annotations);
    if (owner === stackName)
        return;
    throw new AlreadyExistsError(owner === ""
        ? `a ${kind} named ${annotations.name} is there already and belongs to no stack: ` +
            `remove it, name this one otherwise${kind === "service" ? "" : ", or declare it external"}`
        : `a ${kind} named ${annotations.name} belongs to stack ${owner}`);
}
//# sourceMappingURL=object-owner.js.map