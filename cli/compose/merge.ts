/**
 * Several compose files in long form as one: later files add keys and replace values. Pure.
 * Maps merge key by key; ports, mounts, secrets, configs and the like by what makes them one; commands are
 * replaced; other lists grow by what they do not have. `!reset` takes away, `!override` replaces, and both
 * stay as tags of the result, so that a merge of merges is the merge of all.
 * Source: Compose Specification, "Merge and override"; for version 3 files what Docker's client does.
 */
import { isMap, type Raw, rawOf } from "./long-form.js";
import { isContainer, type Key, type Mark, Marks, type Sources, type Tag } from "./sources.js";

export interface MergeRules {
  readonly sources: Sources;
  readonly isVersion3: boolean;
}

const REPLACED = new Set([
  "services.*.command",
  "services.*.entrypoint",
  "services.*.healthcheck.test",
  // a soft limit of one file with a hard one of another is nobody's wish
  "services.*.ulimits.*",
  "services.*.build.ulimits.*",
]);

/** Below these stand names, not keys. */
const NAMED = new Set([
  "services",
  "networks",
  "volumes",
  "secrets",
  "configs",
  "models",
  "services.*.networks",
  "services.*.ulimits",
  "services.*.build.ulimits",
]);

type KeyOf = (item: Raw) => string;
const byTarget: KeyOf = ({ target }) => String(target);

const KEYS: Readonly<Record<string, KeyOf>> = {
  "services.*.ports": ({ host_ip: host, target, published, protocol }) =>
    `${String(host ?? "0.0.0.0")}:${String(published)}:${String(target)}/${String(protocol ?? "tcp")}`,
  "services.*.volumes": byTarget,
  "services.*.devices": ({ source, target }) => String(target ?? source),
  "services.*.secrets": ({ source, target }) => String(target ?? `/run/secrets/${String(source)}`),
  "services.*.configs": ({ source, target }) => String(target ?? `/${String(source)}`),
  "services.*.build.secrets": ({ source, target }) => String(target ?? source),
  "services.*.env_file": ({ path }) => String(path),
  "networks.*.ipam.config": ({ subnet }) => String(subnet),
};
const bySource: KeyOf = ({ source }) => String(source);
/** Docker's own client tells ports apart by the published one alone, and files by their source. */
const KEYS_OF_VERSION_3: Readonly<Record<string, KeyOf>> = {
  "services.*.ports": (port) =>
    port["published"] === undefined ? JSON.stringify(port) : String(port["published"]),
  "services.*.secrets": bySource,
  "services.*.configs": bySource,
};

export function mergeProjects(before: Raw, after: Raw, rules: MergeRules): Raw {
  return new Merge(rules).maps(before, after, "");
}

/** @param before what is extended. */
export function mergeServices(before: Raw, after: Raw, rules: MergeRules): Raw {
  return new Merge(rules).maps(before, after, "services.*");
}

class Merge {
  readonly #rules: MergeRules;

  constructor(rules: MergeRules) {
    this.#rules = rules;
  }

  #values(before: unknown, after: unknown, place: string): unknown {
    if (REPLACED.has(place)) return after;
    if (place === "services.*.logging" && differentDrivers(before, after)) return after;
    if (isMap(before) && isMap(after)) return this.maps(before, after, place);
    if (Array.isArray(before) && Array.isArray(after)) return this.#lists(before, after, place);
    return after;
  }

  maps(before: Raw, after: Raw, place: string): Raw {
    const { sources } = this.#rules;
    const [old, own] = [sources.of(before), sources.of(after)];
    const tags = new Map<Key, Tag>(old.tags);
    const marks = Marks.of(old.marks, own.marks);
    const result = new Map<string, unknown>(Object.entries(before));
    for (const [key, tag] of own.tags ?? []) {
      if (tag === "reset") result.delete(String(key));
      tags.set(key, tag);
    }
    for (const [key, value] of Object.entries(after)) {
      const tag = old.tags?.get(key);
      if (own.tags?.get(key) === "override" || tag === "reset" || !result.has(key)) {
        result.set(key, value);
        if (tag === "reset") tags.set(key, "override");
        continue;
      }
      const earlier = result.get(key);
      const merged = this.#values(earlier, value, below(place, key));
      result.set(key, merged);
      // what replaced a map or list here replaces it also in what this is merged into
      if (merged === value && (isContainer(earlier) || isContainer(value))) tags.set(key, "override");
      // a map or list of both stands where it began
      const mark = old.marks.get(key);
      if (merged !== value && mark !== undefined) marks.set(key, mark);
    }
    return sources.set(Object.fromEntries(result), { marks, ...(tags.size > 0 ? { tags } : {}) });
  }

  #lists(before: readonly unknown[], after: readonly unknown[], place: string): readonly unknown[] {
    const { sources, isVersion3 } = this.#rules;
    if (isVersion3 && place === "services.*.networks.*.aliases") return after;
    const own = (isVersion3 ? KEYS_OF_VERSION_3[place] : undefined) ?? KEYS[place];
    const keyOf = (item: unknown): string =>
      own !== undefined && isMap(item) ? own(item) : JSON.stringify(item);
    const merged = new Map<string, { item: unknown; mark: Mark | undefined }>();
    for (const list of [before, after]) {
      const origin = sources.of(list);
      for (const [i, item] of list.entries()) {
        const key = keyOf(item);
        const earlier = merged.get(key)?.item;
        const isPool = place === "networks.*.ipam.config" && isMap(earlier) && list === after;
        merged.set(key, {
          item: isPool ? this.maps(earlier, rawOf(item), place) : item,
          mark: origin.marks.get(i),
        });
      }
    }
    const marks = new Marks();
    const items = [...merged.values()].map(({ item, mark }, i) => {
      if (mark !== undefined) marks.set(i, mark);
      return item;
    });
    return sources.set(items, { marks });
  }
}

function below(place: string, key: string): string {
  if (place === "") return key;
  return `${place}.${NAMED.has(place) ? "*" : key}`;
}

/** Options of one driver mean nothing to another. */
function differentDrivers(before: unknown, after: unknown): boolean {
  const [old, own] = [rawOf(before)["driver"], rawOf(after)["driver"]];
  return old !== undefined && own !== undefined && old !== own;
}
