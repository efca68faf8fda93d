/**
 * Images in Docker's JSON: lines of a list, details, histories. Pure.
 * Source: Docker Engine API 1.24 to 1.51 (ImageSummary, ImageInspect, HistoryResponseItem); which member
 * belongs to which version is in the history of that API.
 */
import type { ImageDocument, ImageHistoryEntry, ImageRecord } from "../../proto/engine/images.js";
import { familiarName } from "./image-names.js";
import { type JsonObject, type JsonValue, omitEmpty, timeText, ZERO_TIME } from "./shape.js";

/** From here on a nameless image has empty lists instead of "<none>:<none>". */
const EMPTY_NAMES_SINCE = 43;
const VIRTUAL_SIZE_UNTIL = 43;
const CONTAINER_UNTIL = 44;
const LEGACY_CONFIG_UNTIL = 49;

/** What stands in a Config whether it was said or not. */
const CONFIG_ZEROS: JsonObject = {
  Cmd: null,
  Entrypoint: null,
  Env: null,
  Labels: null,
  OnBuild: null,
  User: "",
  Volumes: null,
  WorkingDir: "",
};
/** What stood there as well while an image had the whole configuration of a container. */
const LEGACY_CONFIG_ZEROS: JsonObject = {
  AttachStderr: false,
  AttachStdin: false,
  AttachStdout: false,
  Domainname: "",
  Hostname: "",
  Image: "",
  OpenStdin: false,
  StdinOnce: false,
  Tty: false,
};
/** Of an image's own; the rest of what an old image's document holds is a container's. */
const CONFIG_KEYS = [
  "User",
  "ExposedPorts",
  "Env",
  "Entrypoint",
  "Cmd",
  "Volumes",
  "WorkingDir",
  "Labels",
  "StopSignal",
  "ArgsEscaped",
  "Healthcheck",
  "OnBuild",
  "Shell",
];

export interface SummaryFacts {
  readonly apiMinor: number;
  /** Which names are shown. */
  readonly isShown: (familiarName: string) => boolean;
  /** undefined: not asked for. */
  readonly sharedBytes: number | undefined;
  /** undefined: not counted. */
  readonly containers: number | undefined;
}

export function imageSummary(image: ImageRecord, facts: SummaryFacts): JsonObject {
  const tags = image.repoTags.map(familiarName).filter(facts.isShown);
  const digests = image.repoDigests.map(familiarName);
  const isNameless = image.repoTags.length === 0 && image.repoDigests.length === 0;
  const old = facts.apiMinor < EMPTY_NAMES_SINCE;
  return {
    Id: image.id,
    ParentId: image.parentId ?? "",
    RepoTags: old && isNameless ? ["<none>:<none>"] : listOut(tags, old),
    RepoDigests: old && isNameless ? ["<none>@<none>"] : listOut(digests, old),
    Created: Math.floor(image.createdMs / 1000),
    Size: image.sizeBytes,
    SharedSize: facts.sharedBytes ?? -1,
    ...(facts.apiMinor <= VIRTUAL_SIZE_UNTIL ? { VirtualSize: image.sizeBytes } : {}),
    Labels: Object.keys(image.config.labels).length === 0 ? null : image.config.labels,
    Containers: facts.containers ?? -1,
  };
}

function listOut(list: readonly string[], old: boolean): JsonValue {
  return old && list.length === 0 ? null : list;
}

export interface DetailFacts {
  readonly apiMinor: number;
  readonly document: ImageDocument;
  /** Folders of the layers, lowest first. */
  readonly layerPaths: readonly string[];
}

export function imageDetails(image: ImageRecord, facts: DetailFacts): JsonObject {
  const { apiMinor, document } = facts;
  const text = (key: string): string => {
    const value = document[key];
    return typeof value === "string" ? value : "";
  };
  const config = configOut(document["config"], apiMinor);
  const containerConfig = configOut(document["container_config"], LEGACY_CONFIG_UNTIL);
  return {
    Id: image.id,
    RepoTags: image.repoTags.map(familiarName),
    RepoDigests: image.repoDigests.map(familiarName),
    Parent: image.parentId ?? "",
    Comment: image.comment,
    ...createdOut(text("created"), apiMinor),
    ...(apiMinor <= CONTAINER_UNTIL
      ? { Container: text("container"), ContainerConfig: containerConfig }
      : {}),
    DockerVersion: text("docker_version"),
    Author: image.author,
    Config: config,
    Architecture: image.architecture,
    ...omitEmpty({ Variant: image.variant }),
    Os: image.os,
    ...omitEmpty({ OsVersion: text("os.version") }),
    Size: image.sizeBytes,
    ...(apiMinor <= VIRTUAL_SIZE_UNTIL ? { VirtualSize: image.sizeBytes } : {}),
    GraphDriver: graphDriverOut(facts.layerPaths),
    RootFS: omitEmpty({ Type: "layers", Layers: image.diffIds }),
    Metadata: { LastTagTime: timeText(image.lastTaggedMs ?? 0) },
  };
}

/** An image that does not say when it was made: the member goes from 1.44 on. */
function createdOut(created: string, apiMinor: number): JsonObject {
  if (created !== "") return { Created: created };
  return apiMinor < 44 ? { Created: ZERO_TIME } : {};
}

function configOut(value: unknown, apiMinor: number): JsonObject {
  const given = typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
  const own = Object.fromEntries(
    Object.entries(given).filter(([key, member]) => CONFIG_KEYS.includes(key) && !isEmpty(member)),
  ) as JsonObject; // it came out of JSON.parse
  const legacy = apiMinor <= LEGACY_CONFIG_UNTIL ? LEGACY_CONFIG_ZEROS : {};
  const kept =
    apiMinor <= LEGACY_CONFIG_UNTIL
      ? (Object.fromEntries(
          Object.entries(given).filter(([key]) => key in LEGACY_CONFIG_ZEROS),
        ) as JsonObject) // the same
      : {};
  return { ...legacy, ...CONFIG_ZEROS, ...kept, ...own };
}

function isEmpty(value: unknown): boolean {
  return value === null || value === "" || value === false;
}

function graphDriverOut(layerPaths: readonly string[]): JsonObject {
  const folders = layerPaths.map((path) => path.replace(/\/diff$/, ""));
  const top = folders.at(-1);
  if (top === undefined) return { Data: null, Name: "overlay2" };
  const below = layerPaths.slice(0, -1).reverse();
  return {
    Data: {
      ...(below.length === 0 ? {} : { LowerDir: below.join(":") }),
      MergedDir: `${top}/merged`,
      UpperDir: `${top}/diff`,
      WorkDir: `${top}/work`,
    },
    Name: "overlay2",
  };
}

/**
 * Newest first. The ids of images below are known only where they were made here.
 * @param chain ids and familiar tags: the image itself, its parent, and so on.
 */
export function historyOut(
  history: readonly (ImageHistoryEntry & { readonly sizeBytes: number })[],
  chain: readonly { readonly id: string; readonly tags: readonly string[] }[],
): JsonValue {
  return [...history].reverse().map((entry, at) => ({
    Id: chain[at]?.id ?? "<missing>",
    Created: entry.createdMs === 0 ? 0 : Math.floor(entry.createdMs / 1000),
    CreatedBy: entry.createdBy,
    Tags: chain[at] === undefined || chain[at].tags.length === 0 ? null : [...chain[at].tags],
    Size: entry.sizeBytes,
    Comment: entry.comment,
  }));
}
