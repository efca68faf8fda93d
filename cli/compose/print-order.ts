/**
 * The order in which the normal form prints keys, where it is not that of the alphabet. Pure (data).
 * Paths as in conformance.ts. Keys that are not here follow in alphabetical order, `x-…` last.
 */
const UPDATE = ["parallelism", "delay", "failure_action", "monitor", "max_failure_ratio", "order"];
const FILE = ["source", "target", "uid", "gid", "mode"];
const NAMED = ["name", "driver", "driver_opts", "file", "environment", "content", "template_driver"];
const DEVICES = ["driver", "count", "device_ids", "capabilities", "options"];
const HOOK = ["command", "user", "privileged", "working_dir", "environment"];

export const KEY_ORDER: Readonly<Record<string, readonly string[]>> = {
  "": ["version", "name", "services", "networks", "volumes", "secrets", "configs", "models"],
  "services.*.build": ["context", "dockerfile", "dockerfile_inline", "args", "target"],
  "services.*.healthcheck": [
    ...["test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"],
  ],
  "services.*.deploy": [
    ...["mode", "replicas", "endpoint_mode", "labels", "update_config", "rollback_config"],
    ...["resources", "restart_policy", "placement"],
  ],
  "services.*.deploy.update_config": UPDATE,
  "services.*.deploy.rollback_config": UPDATE,
  "services.*.deploy.resources": ["limits", "reservations"],
  "services.*.deploy.resources.limits": ["cpus", "memory", "pids"],
  "services.*.deploy.resources.reservations": ["cpus", "memory", "generic_resources", "devices"],
  "services.*.deploy.resources.reservations.devices[]": DEVICES,
  "services.*.deploy.restart_policy": ["condition", "delay", "max_attempts", "window"],
  "services.*.deploy.placement": ["constraints", "preferences", "max_replicas_per_node"],
  "services.*.gpus[]": DEVICES,
  "services.*.ports[]": [...["name", "mode", "host_ip", "target", "published", "protocol", "app_protocol"]],
  "services.*.volumes[]": ["type", "source", "target", "read_only", "consistency"],
  "services.*.secrets[]": FILE,
  "services.*.configs[]": FILE,
  "services.*.post_start[]": HOOK,
  "services.*.pre_start[]": ["image", ...HOOK],
  "services.*.pre_stop[]": HOOK,
  "networks.*": NAMED,
  "networks.*.ipam": ["driver", "config", "options"],
  "networks.*.ipam.config[]": ["subnet", "ip_range", "gateway", "aux_addresses"],
  "volumes.*": NAMED,
  "secrets.*": NAMED,
  "configs.*": NAMED,
};

/** Known keys first, in their order; then the others by the alphabet; extensions last. */
export function inOrder(path: string, keys: readonly string[]): string[] {
  const known = KEY_ORDER[path] ?? [];
  const rank = (key: string): number => {
    if (key.startsWith("x-")) return known.length + 1;
    const at = known.indexOf(key);
    return at < 0 ? known.length : at;
  };
  return [...keys].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}
