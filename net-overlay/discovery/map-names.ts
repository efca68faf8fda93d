/**
 * Names of a network that were put together at once. Pure. Invariant: names are lower case.
 */
import { NameRecords } from "./name-records.js";
import type { NameTable } from "./resolve.js";

export class MapNames implements NameTable {
  readonly #byName: ReadonlyMap<string, NameRecords>;
  readonly #byAddress: ReadonlyMap<string, string>;

  constructor(
    byName: ReadonlyMap<string, readonly string[]>,
    byAddress: ReadonlyMap<string, string> = new Map(),
  ) {
    this.#byName = new Map([...byName].map(([name, addresses]) => [name, new NameRecords(addresses)]));
    this.#byAddress = byAddress;
  }

  find(name: string): NameRecords | undefined {
    return this.#byName.get(name);
  }

  nameOf(address: string): string | undefined {
    return this.#byAddress.get(address);
  }
}
