/**
 * The store as it would be with objects laid over it: what a definition asks for is checked against that.
 * Pure. Invariant: nothing is written; the base is only read. Cost: a look-up by key is that of the base and
 * of a map; a whole list is made anew after each change of its table.
 */
import { indexKeys, lookupKey } from "../../store/index-keys.js";
import type { Lookup, ReadTx, TableName, Tables } from "../../store/types.js";

/** What lies over one table. */
interface Layer {
  /** undefined: removed. */
  readonly objects: Map<string, Tables[TableName] | undefined>;
  /** Ids by secondary key; those of an object that was put again are looked at again. */
  readonly byKey: Map<string, Set<string>>;
  whole: readonly Tables[TableName][] | undefined;
}

export class SupposedTx implements ReadTx {
  readonly #base: ReadTx;
  readonly #layers = new Map<TableName, Layer>();

  constructor(base: ReadTx) {
    this.#base = base;
  }

  put<K extends TableName>(table: K, object: Tables[K]): void {
    const layer = this.#layerOf(table);
    layer.objects.set(object.id, object);
    layer.whole = undefined;
    for (const key of indexKeys(table, object)) {
      const ids = layer.byKey.get(key);
      if (ids === undefined) layer.byKey.set(key, new Set([object.id]));
      else ids.add(object.id);
    }
  }

  remove(table: TableName, id: string): void {
    const layer = this.#layerOf(table);
    layer.objects.set(id, undefined);
    layer.whole = undefined;
  }

  get<K extends TableName>(table: K, id: string): Tables[K] | undefined {
    const objects = this.#layers.get(table)?.objects;
    if (objects?.has(id) === true) return objects.get(id) as Tables[K] | undefined; // put under its own table
    return this.#base.get(table, id);
  }

  list<K extends TableName>(table: K, lookup?: Lookup): readonly Tables[K][] {
    const layer = this.#layers.get(table);
    if (layer === undefined) return this.#base.list(table, lookup);
    if (lookup === undefined) {
      layer.whole ??= merged(this.#base.list(table), layer, [...layer.objects.keys()]);
      return layer.whole as readonly Tables[K][]; // put under its own table, as below
    }
    const key = lookupKey(lookup);
    const ids =
      key === undefined
        ? [...layer.objects.keys()].filter((id) => lookup.by === "idPrefix" && id.startsWith(lookup.prefix))
        : [...(layer.byKey.get(key) ?? [])].filter((id) => this.#isUnder(table, id, key));
    return merged(this.#base.list(table, lookup), layer, ids) as readonly Tables[K][];
  }

  #isUnder(table: TableName, id: string, key: string): boolean {
    const object = this.get(table, id);
    return object !== undefined && indexKeys(table, object).includes(key);
  }

  #layerOf(table: TableName): Layer {
    const found = this.#layers.get(table) ?? { objects: new Map(), byKey: new Map(), whole: undefined };
    this.#layers.set(table, found);
    return found;
  }
}

/** In order of id. */
function merged(
  base: readonly Tables[TableName][],
  { objects }: Layer,
  ids: readonly string[],
): readonly Tables[TableName][] {
  const over = ids.flatMap((id) => objects.get(id) ?? []);
  return [...base.filter(({ id }) => !objects.has(id)), ...over].sort((a, b) => (a.id < b.id ? -1 : 1));
}
