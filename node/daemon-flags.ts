/**
 * The flags of skeind, in one table: its own, and those of dockerd under the same names. Pure (a table).
 * The same table reads daemon.json, whose keys are the long names (lists in plural where Docker has them so).
 */

export type FlagKind = "text" | "flag" | "number" | "list" | "map";

export interface Flag {
  readonly kind: FlagKind;
  readonly short?: string;
  /** Key in daemon.json where it differs from the name; undefined in `file`: none there. */
  readonly file?: string | undefined;
  /** Old or own name for the same. */
  readonly alias?: string;
  readonly help: string;
  /** May change by SIGHUP. */
  readonly reloadable?: boolean;
}

export const FLAGS = {
  "config-file": { kind: "text", file: undefined, help: "settings as JSON, keys as dockerd's daemon.json" },
  validate: { kind: "flag", file: undefined, help: "check flags and settings, and end" },
  "data-root": { kind: "text", alias: "data-dir", help: "images, containers, volumes, swarm state" },
  "exec-root": { kind: "text", alias: "run-dir", help: "sockets and what need not survive a reboot" },
  pidfile: { kind: "text", short: "p", help: "file that holds the daemon's process id" },
  host: {
    kind: "list",
    short: "H",
    file: "hosts",
    help: "where the API listens, repeatable: unix:///path, tcp://ADDRESS:PORT",
  },
  socket: { kind: "text", file: undefined, help: "the same as --host unix://PATH" },
  group: { kind: "text", short: "G", help: "group that may use the unix socket, besides root" },
  tls: { kind: "flag", help: "TLS on tcp listeners; implied by --tlsverify" },
  tlsverify: { kind: "flag", help: "clients must have a certificate of --tlscacert" },
  tlscacert: { kind: "text", help: "trust certificates signed by this CA" },
  tlscert: { kind: "text", help: "certificate of the daemon" },
  tlskey: { kind: "text", help: "its key" },
  debug: { kind: "flag", short: "D", reloadable: true, help: "log level debug" },
  "log-level": { kind: "text", short: "l", help: "debug, info, warn or error" },
  label: { kind: "list", file: "labels", reloadable: true, help: "engine label KEY=VALUE, repeatable" },
  "insecure-registry": {
    kind: "list",
    file: "insecure-registries",
    reloadable: true,
    help: "registry (host[:port] or CIDR) reached without TLS, repeatable",
  },
  "registry-mirror": {
    kind: "list",
    file: "registry-mirrors",
    reloadable: true,
    help: "mirror of Docker Hub, as URL, repeatable",
  },
  "max-concurrent-downloads": { kind: "number", reloadable: true, help: "layers at a time for one pull" },
  "max-concurrent-uploads": { kind: "number", reloadable: true, help: "layers at a time for one push" },
  "http-proxy": { kind: "text", file: undefined, help: "proxy for registries by HTTP" },
  "https-proxy": { kind: "text", file: undefined, help: "proxy for registries by HTTPS" },
  "no-proxy": { kind: "text", file: undefined, help: "hosts reached without a proxy" },
  "log-driver": { kind: "text", help: "of containers that name none" },
  "log-opt": { kind: "map", file: "log-opts", help: "KEY=VALUE of that driver, repeatable" },
  init: { kind: "flag", help: "containers get an init process" },
  "default-ulimit": {
    kind: "map",
    file: "default-ulimits",
    help: "NAME=SOFT[:HARD] of every container, repeatable",
  },
  "default-shm-size": { kind: "text", reloadable: true, help: "of /dev/shm, as 64M" },
  "default-ipc-mode": { kind: "text", help: "private or shareable" },
  "default-cgroupns-mode": { kind: "text", help: "private or host" },
  "default-runtime": { kind: "text", reloadable: true, help: "crun or runc" },
  "no-new-privileges": { kind: "flag", help: "set it for every container" },
  "seccomp-profile": { kind: "text", help: "file with the profile of every container, or unconfined" },
  "cgroup-parent": { kind: "text", help: "cgroup that holds the containers" },
  dns: { kind: "list", help: "name server of containers, repeatable" },
  "dns-search": { kind: "list", help: "search domain of containers, repeatable" },
  "dns-opt": { kind: "list", file: "dns-opts", help: "resolver option of containers, repeatable" },
  bip: { kind: "text", help: "address and prefix of the default bridge" },
  "fixed-cidr": { kind: "text", help: "part of it that containers get addresses of" },
  "default-address-pool": {
    kind: "list",
    file: "default-address-pools",
    help: "base=CIDR,size=PREFIX that networks are cut of, repeatable",
  },
  mtu: { kind: "number", help: "of the default bridge" },
  icc: { kind: "flag", help: "containers of the default bridge reach each other" },
  "ip-masq": { kind: "flag", help: "the default bridge's containers reach out by the host's address" },
  ip: { kind: "text", help: "host address of published ports that name none" },
  "host-gateway-ip": { kind: "text", help: "what host-gateway stands for" },
  "swarm-default-advertise-addr": {
    kind: "text",
    help: "address or interface for 'swarm init' and 'swarm join' that name none",
  },
  "node-generic-resource": {
    kind: "list",
    file: "node-generic-resources",
    reloadable: true,
    help: "what this node has for tasks that reserve it, NAME=UNIT or NAME=COUNT, repeatable",
  },
  "advertise-addr": {
    kind: "text",
    file: undefined,
    help: "IP or interface[:PORT] that others use for this node from now on",
  },
  hostname: { kind: "text", help: "this node's name in 'node ls'" },
  "manager-user": { kind: "text", help: "unprivileged user of the manager process" },
  "shutdown-timeout": { kind: "number", reloadable: true, help: "accepted; a stop leaves containers alone" },
  help: { kind: "flag", short: "h", file: undefined, help: "this text" },
  version: { kind: "flag", short: "v", file: undefined, help: "the version" },
} as const satisfies Readonly<Record<string, Flag>>;

export type FlagName = keyof typeof FLAGS;

/** Of dockerd, taken and named in a warning: what they ask for does not apply here, and why. */
export const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  "live-restore": "containers always go on when the daemon stops",
  iptables: "Skein keeps its rules in nftables tables of its own",
  ip6tables: "Skein keeps its rules in nftables tables of its own",
  "ip-forward": "forwarding is switched on where a network needs it",
  "userland-proxy": "published ports need no proxy",
  "userland-proxy-path": "published ports need no proxy",
  "storage-driver": "layers are on overlayfs",
  "storage-opt": "layers are on overlayfs",
  "exec-opt": "the cgroup driver is found out",
  containerd: "Skein runs containers itself",
  "containerd-namespace": "Skein runs containers itself",
  "containerd-plugins-namespace": "Skein runs containers itself",
  experimental: "there is nothing to switch on",
  "log-format": "the log is JSON lines",
  "raw-logs": "the log is JSON lines",
  "metrics-addr": "metrics are served at /metrics of the API",
  "max-download-attempts": "a broken download goes on where it stopped",
  "network-control-plane-mtu": "the MTU is found out",
  "allow-nondistributable-artifacts": "foreign layers are not pushed",
  "oom-score-adjust": "set it in the unit file",
  "init-path": "tini or catatonit is found in the path",
  features: "Docker's features are fixed here",
  builder: "the build cache has no daemon settings",
  "cluster-store": "there is no external store",
  "cluster-advertise": "there is no external store",
  "default-network-opts": "options are given with the network",
};

/** Of dockerd, refused: going on without it would be less safe, or another machine than asked for. */
export const REFUSED: Readonly<Record<string, string>> = {
  "userns-remap": "user namespaces for all containers are not supported",
  "authorization-plugin": "authorization plugins are not supported",
  "authorization-plugins": "authorization plugins are not supported",
  "selinux-enabled": "SELinux labels are not supported",
  bridge: "a bridge that already exists cannot be used",
  "fixed-cidr-v6": "IPv6 on the default bridge is not supported: make a network with --ipv6",
  ipv6: "IPv6 on the default bridge is not supported: make a network with --ipv6",
  "default-gateway": "the default bridge's gateway is its own address",
  "default-gateway-v6": "the default bridge's gateway is its own address",
  "add-runtime": "runtimes are crun and runc, as installed",
  runtimes: "runtimes are crun and runc, as installed",
  "cpu-rt-period": "real-time bandwidth of the daemon is not supported",
  "cpu-rt-runtime": "real-time bandwidth of the daemon is not supported",
};
