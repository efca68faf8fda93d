/**
 * What every step of the conversion of a service knows: the project, its names, where to complain. Pure.
 */
import type { Path } from "./compose-error.js";
import type { Notes } from "./convert-notes.js";
import type { ComposeDoc, ServiceDoc } from "./model.js";
import type { Naming } from "./naming.js";

export interface ServiceScope {
  readonly key: string;
  readonly service: ServiceDoc;
  readonly project: ComposeDoc;
  readonly naming: Naming;
  readonly notes: Notes;
  /** A file with `version: "3…"`: keys mean what `docker stack deploy` makes of them. */
  readonly versioned: boolean;
  /** Names that others give to services, by the service that is named. */
  readonly links: ReadonlyMap<string, readonly LinkAlias[]>;
}

export interface LinkAlias {
  readonly alias: string;
  /** Networks of the service that gives the name. */
  readonly networks: readonly string[];
}

/** Other versions were never Docker's for stacks: such a file is read as the Compose Specification has it. */
export const isVersioned = ({ version }: ComposeDoc): boolean => /^3(\.|$)/.test(version ?? "");

export const pathIn = (scope: ServiceScope, ...rest: Path): Path => ["services", scope.key, ...rest];

/** Why a key of a file with a version does nothing, and what to do about it. */
export const VERSIONED =
  "docker stack deploy ignores it in a file with a version, and so it is here: remove version to have it";
