import { indexKeys, lookupKey } from "../../store/index-keys.js";
export class SupposedTx {
    #base;
    #over = new Map();
    constructor(base) {
        this.#base = base;
    }
    put(table, object) {
        this.#tableOf(table).set(object.id, object);
    }
    remove(table, id) {
        this.#tableOf(table).set(id, undefined);
    }
    get(table, id) {
        const over = this.#over.get(table);
        if (over?.has(id) === true)
            return over.get(id);
        return this.#base.get(table, id);
    }
    list(table, lookup) {
        const base = this.#base.list(table, lookup);
        const over = this.#over.get(table);
        if (over === undefined)
            return base;
        const supposed = [...over.values()];
        const fitting = supposed.filter((object) => object !== undefined && fits(table, object, lookup));
        return [...base.filter(({ id }) => !over.has(id)), ...fitting].sort((a, b) => (a.id < b.id ? -1 : 1));
    }
    #tableOf(table) {
        const found = this.#over.get(table) ?? new Map();
        this.#over.set(table, found);
        return found;
    }
}
function fits(table, object, lookup) {
    if (lookup === undefined)
        return true;
    const key = lookupKey(lookup);
    if (key !== undefined)
        return indexKeys(table, object).includes(key);
    return lookup.by === "idPrefix" && object.id.startsWith(lookup.prefix);
}
//# sourceMappingURL=supposed-tx.js.map