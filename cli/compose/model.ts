/**
 * A compose project in long form: what is left when files, variables, includes, extends and short forms are
 * resolved. Pure (types). Keys are the file's own words, so that files merge key by key; every key of the
 * Compose Specification has its place here or in the files beside it.
 *
 * Rules for who fills it in:
 *   - a key that the file does not have is absent, never undefined or null (except values of `environment`);
 *   - lists of pairs are maps of text; short forms are long (`expose: 80` is ["80"], `dns: a` is ["a"]);
 *   - durations, sizes and numbers of CPUs stay as the file has them ("1m30s", "64m", 0.5); other numbers
 *     are numbers and truth values booleans, also when the file has them as text or out of a variable;
 *   - paths are absolute; what env_file, label_file, include, extends and profiles say has been done;
 *   - `x-…` keys are kept, at any level, as they are.
 * Read without interpolation, a value may be text with variables: such a project is printed, never converted.
 */
import type { NetworkDoc } from "./model-network.js";
import type { ServiceDoc } from "./model-service.js";
import type { FileDoc, VolumeDoc } from "./model-storage.js";

export type {
  AmountsDoc,
  DeployDoc,
  DeviceRequestDoc,
  PreferenceDoc,
  ResourcesDoc,
  RestartPolicyDoc,
  UpdateDoc,
} from "./model-deploy.js";
export type { BuildDoc, DevelopDoc, WatchDoc } from "./model-develop.js";
export type { IpamDoc, IpamPoolDoc, NetworkDoc, PortDoc, ServiceNetworkDoc } from "./model-network.js";
export type {
  BlkioDoc,
  CredentialSpecDoc,
  DependencyDoc,
  DeviceDoc,
  EnvFileDoc,
  HealthDoc,
  HookDoc,
  LoggingDoc,
  PreStartDoc,
  ProviderDoc,
  ServiceDoc,
  ServiceModelDoc,
  UlimitDoc,
} from "./model-service.js";
export type { FileDoc, FileRefDoc, MountDoc, NamedDoc, VolumeDoc } from "./model-storage.js";

/** Extension keys: Compose and Skein leave them alone. */
export interface Extended {
  readonly [key: `x-${string}`]: unknown;
}

/** "1m30s"; units ns, us, ms, s, m, h. */
export type DurationText = string;
/** Bytes, or text with a unit: "64m", "1gb". */
export type Size = number | string;
/** 0.5 or "0.5". */
export type Cpus = number | string;
export type TextMap = Readonly<Record<string, string>>;
/** null: the name stood without a value. */
export type Environment = Readonly<Record<string, string | null>>;

export interface ModelDoc extends Extended {
  readonly name?: string;
  readonly model: string;
  readonly context_size?: number;
  readonly runtime_flags?: readonly string[];
}

export interface ComposeDoc extends Extended {
  /** As the file has it; absent in files of the Compose Specification. */
  readonly version?: string;
  readonly name?: string;
  /** In the file's order; only those whose profile is active. */
  readonly services: Readonly<Record<string, ServiceDoc>>;
  readonly networks: Readonly<Record<string, NetworkDoc>>;
  readonly volumes: Readonly<Record<string, VolumeDoc>>;
  readonly secrets: Readonly<Record<string, FileDoc>>;
  readonly configs: Readonly<Record<string, FileDoc>>;
  readonly models?: Readonly<Record<string, ModelDoc>>;
}
