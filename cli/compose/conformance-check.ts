/**
 * Keys of a project that have no effect or are refused, as the conformance table says. Pure.
 */
import { Notes } from "./convert-notes.js";
import type { ComposeDoc } from "./model.js";

export function conformanceNotes(_project: ComposeDoc): Notes {
  return new Notes();
}
