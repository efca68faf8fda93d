/**
 * What the fields of our contract are called in a compose file. Pure.
 */

/** Of a container, and of what it asks of its node. */
export const CONTAINER_PATHS: Readonly<Record<string, string>> = {
  command: "entrypoint",
  args: "command",
  dir: "working_dir",
  groups: "group_add",
  openStdin: "stdin_open",
  hosts: "extra_hosts",
  capabilityAdd: "cap_add",
  capabilityDrop: "cap_drop",
  ipcMode: "ipc",
  pidMode: "pid",
  utsMode: "uts",
  cgroupnsMode: "cgroup",
  cpusetCpus: "cpuset",
  shmSizeBytes: "shm_size_bytes",
  securityOpts: "security_opt",
  storageOpts: "storage_opt",
  deviceRequests: "gpus",
  blkio: "blkio_config",
};

export const RESOURCE_PATHS: Readonly<Record<string, string>> = {
  limits: "limits",
  reservations: "reservations",
  limitPids: "limits.pids",
  swapBytes: "limits.memswap",
  memorySwappiness: "mem_swappiness",
};

export const PLACEMENT_PATHS: Readonly<Record<string, string>> = {
  constraints: "constraints",
  spreadPreferences: "preferences",
  maxReplicas: "max_replicas_per_node",
  platforms: "platforms",
};

/** Values; one that nobody needs to say has none. */
export const TEXTS: Readonly<Record<string, string>> = {
  RESTART_CONDITION_ANY: "",
  RESTART_CONDITION_ON_FAILURE: "on-failure",
  RESTART_CONDITION_NONE: "none",
  UPDATE_ORDER_STOP_FIRST: "",
  UPDATE_ORDER_START_FIRST: "start-first",
  FAILURE_ACTION_PAUSE: "",
  FAILURE_ACTION_CONTINUE: "continue",
  FAILURE_ACTION_ROLLBACK: "rollback",
  PLACEMENT_STRATEGY_DEFAULT: "",
  PLACEMENT_STRATEGY_SPREAD: "spread",
  PLACEMENT_STRATEGY_BIN_PACK: "bin-pack",
  ENDPOINT_MODE_DNSRR: "dnsrr",
  SOURCE_MODE_KEEP: "",
  SOURCE_MODE_SNAT: "snat",
  SOURCE_MODE_PROXY: "proxy",
  BALANCE_POLICY_ROUND_ROBIN: "",
  BALANCE_POLICY_SOURCE_HASH: "sourcehash",
  BALANCE_POLICY_LOCAL_FIRST: "localfirst",
};
