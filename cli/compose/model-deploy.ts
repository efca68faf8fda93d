/**
 * `deploy` of a service in long form: how many, where, how much, and how it is updated. Pure (types).
 * Rules: model.ts.
 */
import type { Cpus, DurationText, Extended, Size, TextMap } from "./model.js";

export interface UpdateDoc extends Extended {
  readonly parallelism?: number;
  readonly delay?: DurationText;
  readonly failure_action?: string;
  readonly monitor?: DurationText;
  readonly max_failure_ratio?: number;
  readonly order?: string;
}

/** Also an entry of a service's `gpus`: `gpus: all` is [{ count: "all" }]. */
export interface DeviceRequestDoc extends Extended {
  readonly capabilities?: readonly string[];
  readonly count?: number | "all";
  readonly device_ids?: readonly string[];
  readonly driver?: string;
  readonly options?: TextMap;
}

export interface AmountsDoc extends Extended {
  readonly cpus?: Cpus;
  readonly memory?: Size;
  /** Of limits alone. */
  readonly pids?: number;
  /** Of reservations alone, as is what follows. */
  readonly generic_resources?: readonly {
    readonly discrete_resource_spec?: { readonly kind: string; readonly value: number };
  }[];
  readonly devices?: readonly DeviceRequestDoc[];
}

export interface ResourcesDoc extends Extended {
  readonly limits?: AmountsDoc;
  readonly reservations?: AmountsDoc;
}

export interface RestartPolicyDoc extends Extended {
  readonly condition?: string;
  readonly delay?: DurationText;
  readonly max_attempts?: number;
  readonly window?: DurationText;
}

export interface PreferenceDoc extends Extended {
  readonly spread: string;
}

export interface DeployDoc extends Extended {
  readonly mode?: string;
  readonly endpoint_mode?: string;
  readonly replicas?: number;
  readonly labels?: TextMap;
  readonly update_config?: UpdateDoc;
  readonly rollback_config?: UpdateDoc;
  readonly resources?: ResourcesDoc;
  readonly restart_policy?: RestartPolicyDoc;
  readonly placement?: {
    readonly constraints?: readonly string[];
    readonly preferences?: readonly PreferenceDoc[];
    readonly max_replicas_per_node?: number;
  } & Extended;
}
