/**
 * What becomes of every key of the Compose Specification: one table, of which docs/compose.md is made. Pure.
 * Invariant, checked by conformance.test.ts: the table has exactly the keys of the published schema, and
 * those of EXTRA_KEYS; a key that is honoured changes what a project becomes.
 */
import { BUILD_KEYS, DEVELOP_KEYS } from "./conformance-build.js";
import { DEPLOY_KEYS } from "./conformance-deploy.js";
import { NODE_KEYS } from "./conformance-node.js";
import { OBJECT_KEYS } from "./conformance-objects.js";
import { SERVICE_KEYS } from "./conformance-service.js";

export interface Honoured {
  readonly fate: "honoured";
  /** Where it goes. */
  readonly where: string;
  /** A file with a version does without it, as with Docker: the conversion warns. */
  readonly ignoredWithVersion?: true;
}

export interface NotHonoured {
  readonly fate: "warned" | "refused";
  readonly reason: string;
}

export type Fate = Honoured | NotHonoured;

/** By path: names that the file gives are *, items of lists []. */
export type Table = Readonly<Record<string, Fate>>;

/**
 * Keys that the published schema has not: of version 3 files, of Docker's client, of newer chapters of the
 * Compose Specification, and what it has of configs alone.
 */
export const EXTRA_KEYS: readonly string[] = [
  "services.*.cgroupns_mode",
  "services.*.build.no_cache_filter",
  "secrets.*.content",
  ...["", "[].command", "[].image", "[].user", "[].privileged", "[].working_dir", "[].environment"].map(
    (key) => `services.*.pre_start${key}`,
  ),
  "services.*.pre_start[].per_replica",
  "volumes.*.x-cluster-spec",
];

export const CONFORMANCE: Table = {
  ...OBJECT_KEYS.top,
  ...SERVICE_KEYS,
  ...NODE_KEYS,
  ...DEPLOY_KEYS,
  ...BUILD_KEYS,
  ...DEVELOP_KEYS,
  ...OBJECT_KEYS.rest,
};
