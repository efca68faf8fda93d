/**
 * Schema of a service in a compose file: what `docker stack deploy` honours, and what else the specification
 * has. Pure (data).
 * Source: the Compose Specification and Docker's compose file reference, version 3, read for facts.
 */
import {
  BOOLEAN,
  BYTES,
  COUNT,
  CPUS,
  DURATION,
  ID,
  INTEGER,
  ignored,
  MODE,
  mapOf,
  object,
  oneOf,
  PAIRS,
  refused,
  SCALAR,
  type Schema,
  STRING,
  STRING_MAP,
  STRING_OR_STRINGS,
  STRINGS,
  shortOr,
} from "./schema-parts.js";

const UPDATE_CONFIG = (actions: readonly string[]): Schema =>
  object({
    parallelism: COUNT,
    delay: DURATION,
    failure_action: oneOf(...actions),
    monitor: DURATION,
    max_failure_ratio: { type: "number", minimum: 0, maximum: 1 },
    order: oneOf("stop-first", "start-first"),
  });

const GENERIC_RESOURCES: Schema = {
  type: "array",
  items: object({
    discrete_resource_spec: object({ kind: STRING, value: INTEGER }, { required: ["kind", "value"] }),
  }),
};

export const DEPLOY_SCHEMA: Schema = object({
  mode: oneOf("replicated", "global", "replicated-job", "global-job"),
  endpoint_mode: oneOf("vip", "dnsrr"),
  replicas: COUNT,
  labels: PAIRS,
  update_config: UPDATE_CONFIG(["pause", "continue", "rollback"]),
  rollback_config: UPDATE_CONFIG(["pause", "continue"]),
  resources: object({
    limits: object({ cpus: CPUS, memory: BYTES, pids: COUNT }),
    reservations: object({
      cpus: CPUS,
      memory: BYTES,
      generic_resources: GENERIC_RESOURCES,
      devices: ignored("devices are not reserved yet; generic_resources are"),
    }),
  }),
  restart_policy: object({
    condition: oneOf("none", "on-failure", "any"),
    delay: DURATION,
    max_attempts: COUNT,
    window: DURATION,
  }),
  placement: object({
    constraints: STRINGS,
    preferences: { type: "array", items: object({ spread: STRING }, { required: ["spread"] }) },
    max_replicas_per_node: COUNT,
  }),
});

const PORTS: Schema = {
  type: "array",
  items: shortOr(
    ["string", "integer"],
    {
      target: { type: "integer", minimum: 1, maximum: 65_535 },
      published: { type: ["integer", "string"], minimum: 0, maximum: 65_535, format: "port" },
      protocol: oneOf("tcp", "udp", "sctp"),
      mode: oneOf("ingress", "host"),
      name: STRING,
      host_ip: ignored("a published port listens on all addresses of a node"),
      app_protocol: ignored("nothing here reads it"),
    },
    { required: ["target"] },
  ),
};

const VOLUMES: Schema = {
  type: "array",
  items: shortOr(
    ["string"],
    {
      type: oneOf("bind", "volume", "tmpfs", "image"),
      source: STRING,
      target: STRING,
      read_only: BOOLEAN,
      consistency: STRING,
      bind: object({
        propagation: STRING,
        create_host_path: BOOLEAN,
        selinux: ignored("SELinux labels are not set"),
        recursive: ignored("mounts are recursive"),
      }),
      volume: object({ nocopy: BOOLEAN, subpath: STRING, labels: PAIRS }),
      tmpfs: object({ size: BYTES, mode: MODE }),
      image: object({ subpath: STRING }),
    },
    { required: ["type", "target"] },
  ),
};

const FILES: Schema = {
  type: "array",
  items: shortOr(
    ["string"],
    { source: STRING, target: STRING, uid: ID, gid: ID, mode: MODE },
    { required: ["source"] },
  ),
};

const SERVICE_NETWORK: Schema = {
  ...object({
    aliases: STRINGS,
    driver_opts: STRING_MAP,
    ipv4_address: ignored("tasks take addresses from the pool"),
    ipv6_address: ignored("tasks take addresses from the pool"),
    link_local_ips: ignored("tasks take addresses from the pool"),
    mac_address: ignored("tasks have addresses of their own"),
    interface_name: ignored("interfaces are named in order"),
    gw_priority: ignored("the ingress and egress network is the default route"),
    priority: ignored("networks are attached in the order of their names"),
  }),
  type: ["object", "null"],
};

const HONOURED: Readonly<Record<string, Schema>> = {
  image: STRING,
  command: { ...STRING_OR_STRINGS, type: ["string", "array", "null"] },
  entrypoint: { ...STRING_OR_STRINGS, type: ["string", "array", "null"] },
  environment: PAIRS,
  env_file: {
    type: ["string", "array"],
    items: shortOr(["string"], { path: STRING, required: BOOLEAN, format: STRING }, { required: ["path"] }),
  },
  working_dir: STRING,
  user: SCALAR,
  group_add: { type: "array", items: { type: ["string", "number"] } },
  hostname: STRING,
  labels: PAIRS,
  init: BOOLEAN,
  tty: BOOLEAN,
  stdin_open: BOOLEAN,
  read_only: BOOLEAN,
  stop_signal: STRING,
  stop_grace_period: DURATION,
  isolation: STRING,
  healthcheck: object({
    test: STRING_OR_STRINGS,
    interval: DURATION,
    timeout: DURATION,
    retries: COUNT,
    start_period: DURATION,
    start_interval: DURATION,
    disable: BOOLEAN,
  }),
  cap_add: STRINGS,
  cap_drop: STRINGS,
  sysctls: PAIRS,
  ulimits: mapOf(shortOr(["integer"], { soft: INTEGER, hard: INTEGER }, { required: ["soft", "hard"] })),
  oom_score_adj: { type: "integer", minimum: -1000, maximum: 1000 },
  dns: STRING_OR_STRINGS,
  dns_search: STRING_OR_STRINGS,
  dns_opt: STRINGS,
  extra_hosts: { type: ["array", "object"], items: STRING, additionalProperties: STRING_OR_STRINGS },
  logging: object({ driver: STRING, options: mapOf({ type: ["string", "number", "boolean", "null"] }) }),
  networks: { type: ["array", "object"], items: STRING, additionalProperties: SERVICE_NETWORK },
  ports: PORTS,
  volumes: VOLUMES,
  tmpfs: STRING_OR_STRINGS,
  configs: FILES,
  secrets: FILES,
  restart: { type: "string", pattern: "^(no|always|unless-stopped|on-failure(:\\d+)?)$" },
  scale: COUNT,
  deploy: DEPLOY_SCHEMA,
};

const SINGLE_HOST = "it belongs to containers of one host";
const USE_LIMITS = "use deploy.resources";

const IGNORED: Readonly<Record<string, string>> = {
  annotations: "OCI annotations are not set",
  attach: "it belongs to `compose up`",
  blkio_config: "block I/O is not limited",
  build: "images are not built here: build and push them first",
  cgroup: "tasks have cgroups of their own",
  cgroup_parent: "tasks have cgroups of their own",
  cgroupns_mode: "tasks have cgroup namespaces of their own",
  container_name: "tasks are named after service and slot",
  cpu_count: USE_LIMITS,
  cpu_percent: USE_LIMITS,
  cpu_period: USE_LIMITS,
  cpu_quota: USE_LIMITS,
  cpu_rt_period: USE_LIMITS,
  cpu_rt_runtime: USE_LIMITS,
  cpu_shares: USE_LIMITS,
  cpus: USE_LIMITS,
  cpuset: USE_LIMITS,
  credential_spec: "it belongs to Windows",
  depends_on: "services start together, each as soon as it can",
  develop: "it belongs to development on one host",
  device_cgroup_rules: "devices are not passed on yet",
  devices: "devices are not passed on yet",
  domainname: "the domain name is not set",
  expose: "every port is open within a network",
  external_links: SINGLE_HOST,
  gpus: "devices are not passed on yet",
  ipc: SINGLE_HOST,
  label_file: "labels are read from `labels` alone",
  links: "services of a network find each other by name",
  mac_address: "tasks have addresses of their own",
  mem_limit: USE_LIMITS,
  mem_reservation: USE_LIMITS,
  mem_swappiness: USE_LIMITS,
  memswap_limit: USE_LIMITS,
  network_mode: "use `networks`",
  oom_kill_disable: "tasks can be killed when memory runs out",
  pid: SINGLE_HOST,
  pids_limit: USE_LIMITS,
  platform: "use deploy.placement.constraints with node.platform.arch",
  post_start: "hooks are not run yet",
  pre_stop: "hooks are not run yet",
  privileged: "tasks are not privileged; use cap_add",
  profiles: "every service is deployed",
  pull_policy: "an image that a node has is not pulled",
  runtime: "all tasks use the node's runtime",
  security_opt: "tasks run under the default profile",
  shm_size: "/dev/shm has its default size",
  storage_opt: "root file systems have no options",
  use_api_socket: SINGLE_HOST,
  userns_mode: "tasks share the host's user namespace",
  uts: SINGLE_HOST,
  volume_driver: "name the driver under the top-level `volumes`",
};

const REFUSED: Readonly<Record<string, string>> = {
  extends: "is not supported: use YAML anchors, or several files",
  provider: "is not supported: a provider is no container",
  volumes_from: "is not supported: name the volumes of each service",
};

export const SERVICE_SCHEMA: Schema = object({
  ...HONOURED,
  ...Object.fromEntries(Object.entries(IGNORED).map(([key, reason]) => [key, ignored(reason)])),
  ...Object.fromEntries(Object.entries(REFUSED).map(([key, reason]) => [key, refused(reason)])),
});
