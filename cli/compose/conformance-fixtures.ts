/**
 * Projects that have, all together, every key that is honoured. Pure (data).
 * The first project that has a key shows what becomes of it.
 */
import type { ComposeDoc, HookDoc, ServiceDoc, UpdateDoc } from "./model.js";

const EMPTY = { networks: {}, volumes: {}, secrets: {}, configs: {} };

const HOOK: HookDoc = {
  command: ["a", "b"],
  user: "u",
  privileged: true,
  working_dir: "/w",
  environment: { A: "1" },
};
const UPDATE: UpdateDoc = {
  parallelism: 2,
  delay: "1s",
  failure_action: "continue",
  monitor: "2s",
  max_failure_ratio: 0.5,
  order: "start-first",
};
const RATE = [{ path: "/dev/sda", rate: "1m" }];
const DEVICE = { capabilities: ["gpu"], count: 1, driver: "d" };

const WEB: ServiceDoc = {
  image: "i",
  command: ["a"],
  entrypoint: ["b"],
  environment: { A: "1" },
  working_dir: "/w",
  user: "1000",
  group_add: ["audio"],
  hostname: "h",
  labels: { a: "b" },
  annotations: { a: "b" },
  tty: true,
  stdin_open: true,
  stop_signal: "SIGINT",
  stop_grace_period: "5s",
  healthcheck: {
    test: ["CMD", "true"],
    interval: "1s",
    timeout: "2s",
    retries: 3,
    start_period: "4s",
    start_interval: "5s",
  },
  dns: ["1.1.1.1"],
  dns_search: ["a"],
  dns_opt: ["ndots:1"],
  extra_hosts: ["a:10.0.0.1"],
  logging: { driver: "local", options: { "max-size": "1m" } },
  networks: {
    low: {
      aliases: ["other"],
      ipv4_address: "10.0.0.9",
      ipv6_address: "fd00::9",
    },
    zoo: { priority: 5, mac_address: "02:00:00:00:00:01" },
  },
  ports: [
    {
      name: "http",
      mode: "host",
      host_ip: "127.0.0.1",
      target: 80,
      published: 8080,
      protocol: "udp",
    },
  ],
  links: ["db:database"],
  volumes: [
    {
      type: "volume",
      source: "data",
      target: "/d",
      read_only: true,
      consistency: "cached",
      volume: { labels: { c: "d" }, nocopy: true, subpath: "s" },
    },
  ],
  tmpfs: ["/t:size=1m"],
  secrets: [{ source: "key", target: "t", uid: "1", gid: "2", mode: 0o400 }],
  configs: [{ source: "conf", target: "/t", uid: "1", gid: "2", mode: 0o400 }],
  depends_on: { db: { condition: "service_healthy", restart: true, required: false } },
  pull_policy: "always",
  platform: "linux/arm64",
  post_start: [HOOK],
  pre_stop: [HOOK],
  use_api_socket: true,
  init: true,
  read_only: true,
  privileged: true,
  cap_add: ["NET_ADMIN"],
  cap_drop: ["CHOWN"],
  security_opt: ["no-new-privileges"],
  sysctls: { "net.core.somaxconn": "1" },
  ulimits: { nofile: { soft: 1, hard: 2 } },
  devices: [{ source: "/dev/a", target: "/dev/b", permissions: "r" }],
  device_cgroup_rules: ["c 1:3 r"],
  gpus: [DEVICE],
  cgroup: "host",
  cgroup_parent: "p",
  ipc: "host",
  pid: "host",
  uts: "host",
  userns_mode: "host",
  domainname: "example.org",
  shm_size: "64m",
  runtime: "runc",
  oom_score_adj: 5,
  oom_kill_disable: true,
  mem_swappiness: 5,
  memswap_limit: "2g",
  cpuset: "0",
  cpu_shares: 5,
  cpu_period: 1000,
  cpu_quota: "50ms",
  cpu_rt_period: 1000,
  cpu_rt_runtime: 500,
  blkio_config: {
    weight: 10,
    weight_device: [{ path: "/dev/sda", weight: 20 }],
    device_read_bps: RATE,
    device_read_iops: RATE,
    device_write_bps: RATE,
    device_write_iops: RATE,
  },
  build: {
    context: "/src",
    dockerfile: "Dockerfile.web",
    args: { A: "1" },
    labels: { a: "b" },
    cache_from: ["c"],
    no_cache: true,
    pull: true,
    network: "host",
    target: "t",
    shm_size: "1m",
    extra_hosts: ["a:10.0.0.1"],
    isolation: "default",
    ulimits: { nofile: { soft: 1, hard: 2 } },
    tags: ["other"],
    platforms: ["linux/amd64"],
  },
  deploy: {
    mode: "replicated-job",
    replicas: 1,
    endpoint_mode: "dnsrr",
    labels: { c: "d" },
    update_config: UPDATE,
    rollback_config: UPDATE,
    resources: {
      limits: { cpus: "0.5", memory: "1g", pids: 5 },
      reservations: {
        cpus: 0.25,
        memory: 1024,
        generic_resources: [{ discrete_resource_spec: { kind: "ssd", value: 1 } }],
        devices: [DEVICE],
      },
    },
    restart_policy: { condition: "on-failure", delay: "1s", max_attempts: 3, window: "4s" },
    placement: { constraints: ["a==b"], preferences: [{ spread: "c" }], max_replicas_per_node: 1 },
  },
};

const EVERYTHING: ComposeDoc = {
  services: { web: WEB, db: { image: "j", networks: { low: {} } } },
  networks: {
    low: {
      name: "n",
      labels: { a: "b" },
      driver: "macvlan",
      driver_opts: { a: "b" },
      internal: true,
      attachable: true,
      enable_ipv4: false,
      enable_ipv6: true,
      ipam: {
        driver: "d",
        config: [
          {
            subnet: "10.0.0.0/24",
            ip_range: "10.0.0.0/25",
            gateway: "10.0.0.1",
            aux_addresses: { a: "10.0.0.2" },
          },
        ],
      },
    },
    zoo: {},
  },
  volumes: { data: { name: "v", labels: { a: "b" }, driver: "local", driver_opts: { a: "b" } } },
  secrets: {
    key: { name: "k", labels: { a: "b" }, file: "/f", template_driver: "golang" },
  },
  configs: {
    conf: { name: "c", labels: { a: "b" }, file: "/f", template_driver: "golang" },
  },
};

/** What cannot stand beside the others. */
const APART: ComposeDoc = {
  services: {
    web: {
      image: "i",
      network_mode: "host",
      healthcheck: { disable: true },
      restart: "always",
      scale: 2,
      pre_start: [{ ...HOOK, image: "k" }],
      cgroupns_mode: "host",
      mac_address: "02:00:00:00:00:02",
      pull_policy: "refresh",
      pull_refresh_after: "12h",
      cpus: 0.5,
      mem_limit: "1g",
      mem_reservation: "512m",
      pids_limit: 5,
      gpus: [{ device_ids: ["1"] }],
      build: { dockerfile_inline: "FROM x" },
      volumes: [
        {
          type: "bind",
          source: "/s",
          target: "/t",
          bind: { propagation: "rshared", create_host_path: false, recursive: "disabled" },
        },
      ],
      secrets: [{ source: "key" }],
      configs: [{ source: "conf" }],
      deploy: { resources: { reservations: { devices: [{ device_ids: ["1"] }] } } },
    },
  },
  networks: {},
  volumes: {},
  secrets: { key: { environment: "E" } },
  configs: { conf: { environment: "E" } },
};

const REST: ComposeDoc = {
  services: {
    web: {
      image: "i",
      networks: { out: {}, zzz: { priority: 5 } },
      volumes: [
        { type: "tmpfs", target: "/t", tmpfs: { size: "1m", mode: 0o700 } },
        { type: "volume", source: "data", target: "/d" },
      ],
    },
  },
  networks: { out: { external: true, name: "out" }, zzz: {} },
  volumes: { data: { external: true, name: "data", labels: { a: "b" } } },
  secrets: {
    key: { driver: "vault", driver_opts: { a: "b" } },
  },
  configs: { conf: { content: "text" } },
};

const IMAGES: ComposeDoc = {
  ...EMPTY,
  services: {
    web: { image: "i", volumes: [{ type: "image", source: "j", target: "/t", image: { subpath: "s" } }] },
  },
  secrets: { key: { external: true, name: "k" }, inline: { content: "text" } },
  configs: { conf: { external: true, name: "c" } },
};

export const PROJECTS: readonly ComposeDoc[] = [EVERYTHING, APART, REST, IMAGES];

/** Keys that the reading takes care of: in no project. */
export const READ_KEYS: readonly string[] = [
  ...["version", "name", "include", "include[].path", "include[].env_file", "include[].project_directory"],
  ...["services.*.env_file", "services.*.env_file[].path", "services.*.env_file[].format"],
  ...["services.*.env_file[].required", "services.*.label_file", "services.*.profiles"],
  ...["services.*.extends", "services.*.extends.service", "services.*.extends.file"],
  ...["networks", "volumes", "secrets", "configs"].map((kind) => `${kind}.*.external.name`),
];

/** Keys that others need beside them are not taken away but changed: to this. */
export const INSTEAD: Readonly<Record<string, unknown>> = {
  "services.*.volumes[].type": "cluster",
  "services.*.volumes[].source": "zoo",
  "services.*.volumes[].target": "/other",
  "services.*.secrets[].source": "other",
  "services.*.configs[].source": "other",
  "services.*.ports[].target": 81,
  "services.*.devices[].source": "/dev/other",
  "services.*.depends_on.*.condition": "service_started",
  "services.*.post_start[].command": ["other"],
  "services.*.pre_stop[].command": ["other"],
  "services.*.blkio_config.weight_device[].path": "/other",
  "services.*.blkio_config.weight_device[].weight": 30,
  ...Object.fromEntries(
    ["read_bps", "read_iops", "write_bps", "write_iops"].flatMap((key) => [
      [`services.*.blkio_config.device_${key}[].path`, "/other"],
      [`services.*.blkio_config.device_${key}[].rate`, 5],
    ]),
  ),
  "services.*.ulimits.*.soft": 5,
  "services.*.ulimits.*.hard": 5,
  "services.*.build.ulimits.*.soft": 5,
  "services.*.build.ulimits.*.hard": 5,
  "services.*.deploy.placement.preferences[].spread": "other",
  "services.*.deploy.replicas": 2,
  services: {},
};
