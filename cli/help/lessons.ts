/** placeholder. Pure. */
export interface Lesson {
  readonly examples: readonly (readonly [string, string?])[];
  readonly next?: string;
}
export const LESSONS: Readonly<Record<string, Lesson>> = {};
