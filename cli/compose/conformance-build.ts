/**
 * Conformance of `build`, which `stack deploy --build` does with the engine, and of `develop`. Pure (data).
 */
import type { Table } from "./conformance.js";
import { each, refused, to, under, warned } from "./conformance-parts.js";

const BUILDKIT = "the engine's builder is Docker's classic one, without BuildKit";

export const BUILD_KEYS: Table = under("services.*.build", {
  "": to("POST /build, with --build; the image is STACK_SERVICE unless the service names one"),
  context: to("the body of POST /build, or remote"),
  dockerfile: to("POST /build dockerfile"),
  dockerfile_inline: to("a file of the body of POST /build"),
  args: to("POST /build buildargs"),
  labels: to("POST /build labels"),
  cache_from: to("POST /build cachefrom"),
  no_cache: to("POST /build nocache"),
  pull: to("POST /build pull"),
  network: to("POST /build networkmode"),
  target: to("POST /build target"),
  shm_size: to("POST /build shmsize"),
  extra_hosts: to("POST /build extrahosts"),
  isolation: to("POST /build isolation: Linux knows default alone"),
  ulimits: to("POST /build ulimits"),
  "ulimits.*.soft": to("POST /build ulimits"),
  "ulimits.*.hard": to("POST /build ulimits"),
  tags: to("POST /build t"),
  platforms: to("POST /build platform: the first one"),
  ...each(warned(`it makes the build faster at most: ${BUILDKIT}`), "cache_to", "provenance", "sbom"),
  no_cache_filter: warned("all steps of a build take from the cache, or with no_cache none"),
  ...each(
    refused(BUILDKIT),
    "ssh",
    "additional_contexts",
    "entitlements",
    "privileged",
    "secrets",
    "secrets[].source",
    "secrets[].target",
    "secrets[].uid",
    "secrets[].gid",
    "secrets[].mode",
  ),
});

export const DEVELOP_KEYS: Table = under(
  "services.*.develop",
  each(
    warned("a stack is not watched: it changes when it is deployed again"),
    "",
    "watch",
    "watch[].ignore",
    "watch[].include",
    "watch[].path",
    "watch[].action",
    "watch[].target",
    "watch[].exec",
    "watch[].exec.command",
    "watch[].exec.user",
    "watch[].exec.privileged",
    "watch[].exec.working_dir",
    "watch[].exec.environment",
    "watch[].initial_sync",
  ),
);
