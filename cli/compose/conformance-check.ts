/**
 * Keys of a project that have no effect or are refused, as the conformance table says. Pure.
 * Walks the project once, along a tree made of the table.
 */
import type { Path } from "./compose-error.js";
import { CONFORMANCE, type Fate } from "./conformance.js";
import { Notes } from "./convert-notes.js";
import type { ComposeDoc } from "./model.js";

interface Branch {
  fate?: Fate;
  readonly below: Map<string, Branch>;
}

let tree: Branch | undefined;

/** "services.*.ports[].name" as services, *, ports, [], name. */
const partsOf = (path: string): string[] => path.replaceAll("[]", ".[]").split(".");

function tableTree(): Branch {
  if (tree !== undefined) return tree;
  tree = { below: new Map() };
  for (const [path, fate] of Object.entries(CONFORMANCE)) {
    let at = tree;
    for (const part of partsOf(path)) {
      const next: Branch = at.below.get(part) ?? { below: new Map() };
      at.below.set(part, next);
      at = next;
    }
    at.fate = fate;
  }
  return tree;
}

export function conformanceNotes(project: ComposeDoc): Notes {
  const notes = new Notes();
  walk(project, tableTree(), [], notes);
  return notes;
}

function walk(value: unknown, branch: Branch, path: Path, notes: Notes): void {
  // what is switched off has the effect that it has: none
  if (value === undefined || value === null || (value === false && branch.fate?.fate !== "warned")) return;
  if (branch.fate !== undefined && branch.fate.fate !== "honoured") {
    if (branch.fate.fate === "warned") notes.warn(path, `has no effect: ${branch.fate.reason}`);
    else notes.refuse(path, `is refused: ${branch.fate.reason}`);
    return;
  }
  if (typeof value !== "object") return;
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? value.map((item, i) => [i, item])
    : Object.entries(value);
  for (const [key, inner] of entries) {
    const next = branch.below.get(typeof key === "number" ? "[]" : key) ?? branch.below.get("*");
    if (next !== undefined) walk(inner, next, [...path, key], notes);
  }
}
