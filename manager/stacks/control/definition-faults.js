import { InvalidArgumentError, messageOf, SkeinError } from "../../../base/errors/errors.js";
const FAULTS_TOLD_MAX = 50;
export class DefinitionFaults {
    #faults = [];
    get count() {
        return this.#faults.length;
    }
    add(kind, key, rule) {
        const isTold = this.#faults.some((fault) => fault.kind === kind && fault.key === key && fault.rule === rule);
        if (!isTold)
            this.#faults.push({ kind, key, rule });
    }
    attempt(kind, key, check) {
        try {
            return check();
        }
        catch (error) {
            if (!(error instanceof SkeinError))
                throw error;
            this.add(kind, key, messageOf(error));
            return undefined;
        }
    }
    throwIfAny() {
        if (this.#faults.length === 0)
            return;
        const lines = this.#faults
            .slice(0, FAULTS_TOLD_MAX)
            .map(({ kind, key, rule }) => (key === "" ? rule : `${kind} ${key}: ${rule}`));
        const more = this.#faults.length - lines.length;
        if (more > 0)
            lines.push(`and ${more} more`);
        throw new InvalidArgumentError(lines.join("\n"));
    }
}
//# sourceMappingURL=definition-faults.js.map