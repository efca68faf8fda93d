/**
 * Examples of each command, and what to do next: shown in its help and its manual page. Pure (tables).
 * A command's test wants every line to name its command, with flags that exist.
 */
import { CLUSTER_LESSONS } from "./cluster-lessons.js";
import { NODE_LESSONS } from "./node-lessons.js";
import { OBJECT_LESSONS } from "./object-lessons.js";

export interface Lesson {
  /** A line to type, and what it does. */
  readonly examples: readonly (readonly [line: string, says?: string])[];
  /** A sentence or two about what follows. */
  readonly next?: string;
}

export type Lessons = Readonly<Record<string, Lesson>>;

/** By the words of the command: "service create". */
export const LESSONS: Lessons = { ...CLUSTER_LESSONS, ...OBJECT_LESSONS, ...NODE_LESSONS };
