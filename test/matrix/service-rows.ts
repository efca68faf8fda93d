/**
 * The flags of `docker service create` and `docker service update`, one line each.
 * Pure. Source: the reference of the stock command, version 28.2 with what 29 added.
 */
import type { Batch, FlagRow } from "./matrix-row.js";

const IMAGE = "skein-hello:latest";
const SLEEP = "trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done";
const T = "TaskTemplate";
const C = `${T}/ContainerSpec`;
const R = `${T}/Resources`;
const H = "HostConfig";
const S = 1_000_000_000;
const MIB = 2 ** 20;

/** @param flag without its dashes; `value`: what follows the flag, or none for a switch. */
function row(command: string, flag: string, value: string | true, seen: Partial<FlagRow>): FlagRow {
  const args = value === true ? [`--${flag}`] : [`--${flag}`, value];
  return { flag: `service ${command} --${flag}`, args, ...seen };
}

const create = (flag: string, value: string | true, seen: Partial<FlagRow> = {}): FlagRow =>
  row("create", flag, value, seen);
const update = (flag: string, value: string | true, seen: Partial<FlagRow> = {}): FlagRow =>
  row("update", flag, value, seen);

/** Where the rows' files are. */
export interface Places {
  /** A directory on the host with a file "there". */
  readonly bound: string;
  /** A file with the line FROM_FILE=yes. */
  readonly envFile: string;
}

export function serviceBatches(places: Places): readonly Batch[] {
  return [plain(places), health, global, job, swap, windows];
}

const plain = ({ bound, envFile }: Places): Batch => ({
  name: "m-plain",
  command: [IMAGE, "exec sleep 1000"],
  create: [
    create("name", "m-plain", { stored: { Name: "m-plain" } }),
    create("detach", true),
    create("no-resolve-image", true, { stored: { [`${C}/Image`]: IMAGE } }),
    create("with-registry-auth", true),
    create("replicas", "1", { stored: { "Mode/Replicated/Replicas": 1 } }),
    create("replicas-max-per-node", "2", { stored: { [`${T}/Placement/MaxReplicas`]: 2 } }),
    create("constraint", "node.role==manager", {
      stored: { [`${T}/Placement/Constraints`]: ["node.role==manager"] },
    }),
    create("placement-pref", "spread=node.labels.rack", {
      stored: {
        [`${T}/Placement/Preferences`]: [{ Spread: { SpreadDescriptor: "node.labels.rack" } }],
      },
    }),
    create("generic-resource", "GPU=1", {
      stored: {
        [`${R}/Reservations/GenericResources`]: [{ DiscreteResourceSpec: { Kind: "GPU", Value: 1 } }],
      },
      inside: { "echo $DOCKER_RESOURCE_GPU": /^[ab]$/ },
    }),
    create("reserve-cpu", "0.1", { stored: { [`${R}/Reservations/NanoCPUs`]: 0.1 * S } }),
    create("reserve-memory", "16m", { stored: { [`${R}/Reservations/MemoryBytes`]: 16 * MIB } }),
    create("limit-cpu", "0.5", {
      stored: { [`${R}/Limits/NanoCPUs`]: 0.5 * S },
      container: { [`${H}/NanoCpus`]: 0.5 * S },
    }),
    create("limit-memory", "64m", {
      stored: { [`${R}/Limits/MemoryBytes`]: 64 * MIB },
      container: { [`${H}/Memory`]: 64 * MIB },
    }),
    create("limit-pids", "90", {
      stored: { [`${R}/Limits/Pids`]: 90 },
      container: { [`${H}/PidsLimit`]: 90 },
    }),
    create("oom-score-adj", "321", {
      stored: { [`${C}/OomScoreAdj`]: 321 },
      container: { [`${H}/OomScoreAdj`]: 321 },
      inside: { "cat /proc/1/oom_score_adj": "321" },
    }),
    create("env", "TOLD={{.Service.Name}}.{{.Task.Slot}}", {
      stored: { [`${C}/Env/1`]: "TOLD={{.Service.Name}}.{{.Task.Slot}}" },
      inside: { "tr '\\0' '\\n' </proc/1/environ | grep TOLD": "TOLD=m-plain.1" },
    }),
    create("env-file", envFile, {
      stored: { [`${C}/Env/0`]: "FROM_FILE=yes" },
      inside: { "echo $FROM_FILE": "yes" },
    }),
    create("entrypoint", "/bin/sh -c", {
      stored: { [`${C}/Command`]: ["/bin/sh", "-c"], [`${C}/Args`]: ["exec sleep 1000"] },
      container: { "Config/Entrypoint": ["/bin/sh", "-c"], "Config/Cmd": ["exec sleep 1000"] },
    }),
    create("workdir", "/www", {
      stored: { [`${C}/Dir`]: "/www" },
      container: { "Config/WorkingDir": "/www" },
      inside: { pwd: "/www" },
    }),
    create("user", "web", {
      stored: { [`${C}/User`]: "web" },
      container: { "Config/User": "web" },
      inside: { "id -u": "1000" },
    }),
    create("group", "1234", {
      stored: { [`${C}/Groups`]: ["1234"] },
      container: { [`${H}/GroupAdd`]: ["1234"] },
      inside: { "grep Groups /proc/1/status": /\b1234\b/ },
    }),
    create("hostname", "h-{{.Service.Name}}-{{.Node.Hostname}}", {
      stored: { [`${C}/Hostname`]: "h-{{.Service.Name}}-{{.Node.Hostname}}" },
      container: { "Config/Hostname": "h-m-plain-host1" },
      inside: { hostname: "h-m-plain-host1" },
    }),
    create("host", "db.example:10.1.2.3", {
      stored: { [`${C}/Hosts`]: ["10.1.2.3 db.example"] },
      inside: { "grep db.example /etc/hosts": /^10\.1\.2\.3\s+db\.example$/ },
    }),
    // the nameserver of a task is the daemon's own, which asks this one
    create("dns", "10.9.8.7", { stored: { [`${C}/DNSConfig/Nameservers`]: ["10.9.8.7"] } }),
    create("dns-option", "ndots:3", {
      stored: { [`${C}/DNSConfig/Options`]: ["ndots:3"] },
      inside: { "grep options /etc/resolv.conf": /ndots:3/ },
    }),
    create("dns-search", "inner.example", {
      stored: { [`${C}/DNSConfig/Search`]: ["inner.example"] },
      inside: { "grep search /etc/resolv.conf": "search inner.example" },
    }),
    create("label", "on.service=yes", { stored: { Labels: { "on.service": "yes" } } }),
    create("container-label", "on.container=yes", {
      stored: { [`${C}/Labels`]: { "on.container": "yes" } },
      container: { "Config/Labels/on.container": "yes", "Config/Labels/on.service": undefined },
    }),
    create("mount", `type=bind,source=${bound},target=/bound,readonly,bind-propagation=rprivate`, {
      stored: {
        [`${C}/Mounts/0`]: {
          Type: "bind",
          Source: bound,
          Target: "/bound",
          ReadOnly: true,
          BindOptions: { Propagation: "rprivate" },
        },
      },
      inside: { "ls /bound": "there", "touch /bound/x 2>&1": /Read-only/ },
    }),
    create("mount", `type=bind,source=${bound},target=/alone,bind-recursive=disabled`, {
      stored: { [`${C}/Mounts/1/BindOptions`]: { NonRecursive: true } },
      inside: { "ls /alone": "there" },
    }),
    create(
      "mount",
      "type=volume,source=m-{{.Service.Name}},target=/kept,volume-label=a=b,volume-driver=local",
      {
        stored: {
          [`${C}/Mounts/2/VolumeOptions`]: { Labels: { a: "b" }, DriverConfig: { Name: "local" } },
        },
        container: { "Mounts/2/Name": "m-m-plain", "Mounts/2/Driver": "local" },
        inside: { "grep -c ' /kept ' /proc/mounts": "1" },
      },
    ),
    create("mount", "type=volume,source=m-nocopy,target=/www,volume-nocopy", {
      stored: { [`${C}/Mounts/3/VolumeOptions`]: { NoCopy: true } },
      inside: { "ls /www": "" },
    }),
    create("mount", "type=volume,target=/greeter", {
      inside: { "cat /greeter/greeting": "honk" },
    }),
    create("mount", "type=tmpfs,target=/quick,tmpfs-size=1m,tmpfs-mode=0701", {
      stored: { [`${C}/Mounts/5/TmpfsOptions`]: { SizeBytes: MIB, Mode: 0o701 } },
      inside: {
        "grep ' /quick ' /proc/mounts": /^tmpfs \/quick tmpfs .*size=1024k/,
        "stat -c %a /quick": "701",
      },
    }),
    create("network", "name=m-net,alias=other-name,driver-opt=a=b", {
      stored: {
        [`${T}/Networks/0/Aliases`]: ["other-name"],
        [`${T}/Networks/0/DriverOpts`]: { a: "b" },
      },
      container: { "NetworkSettings/Networks/m-net/DriverOpts": { a: "b" } },
      inside: { "nslookup -type=a other-name 127.0.0.11 2>&1": /Address.*10\./ },
    }),
    create("publish", "published=8081,target=80,protocol=tcp,mode=ingress", {
      stored: {
        "EndpointSpec/Ports/0": {
          Protocol: "tcp",
          TargetPort: 80,
          PublishedPort: 8081,
          PublishMode: "ingress",
        },
      },
    }),
    create("endpoint-mode", "vip", { stored: { "EndpointSpec/Mode": "vip" } }),
    create("secret", "source=m-secret,target=word,uid=1000,gid=1000,mode=0400", {
      stored: {
        [`${C}/Secrets/0/SecretName`]: "m-secret",
        [`${C}/Secrets/0/File`]: { Name: "word", UID: "1000", GID: "1000", Mode: 0o400 },
      },
      inside: {
        "cat /run/secrets/word": "hush",
        "stat -c '%u %g %a' /run/secrets/word": "1000 1000 400",
        "grep ' /run/secrets' /proc/mounts": /^tmpfs /,
      },
    }),
    create("config", "source=m-config,target=/etc/m.conf,uid=1000,gid=0,mode=0440", {
      stored: {
        [`${C}/Configs/0/ConfigName`]: "m-config",
        [`${C}/Configs/0/File`]: { Name: "/etc/m.conf", UID: "1000", GID: "0", Mode: 0o440 },
      },
      inside: { "cat /etc/m.conf": "colour=blue", "stat -c '%u %g %a' /etc/m.conf": "1000 0 440" },
    }),
    create("cap-add", "NET_ADMIN", {
      stored: { [`${C}/CapabilityAdd`]: ["CAP_NET_ADMIN"] },
      container: { [`${H}/CapAdd`]: ["CAP_NET_ADMIN"] },
      inside: { "grep CapBnd /proc/1/status": capability(12, true) },
    }),
    create("cap-drop", "CAP_MKNOD", {
      stored: { [`${C}/CapabilityDrop`]: ["CAP_MKNOD"] },
      container: { [`${H}/CapDrop`]: ["CAP_MKNOD"] },
      inside: { "grep CapBnd /proc/1/status": capability(27, false) },
    }),
    create("sysctl", "net.ipv4.ip_default_ttl=33", {
      stored: { [`${C}/Sysctls`]: { "net.ipv4.ip_default_ttl": "33" } },
      container: { [`${H}/Sysctls`]: { "net.ipv4.ip_default_ttl": "33" } },
      inside: { "cat /proc/sys/net/ipv4/ip_default_ttl": "33" },
    }),
    create("ulimit", "nofile=1000:2000", {
      stored: { [`${C}/Ulimits`]: [{ Name: "nofile", Hard: 2000, Soft: 1000 }] },
      container: { [`${H}/Ulimits`]: [{ Name: "nofile", Hard: 2000, Soft: 1000 }] },
      inside: { "grep 'open files' /proc/1/limits": /1000\s+2000/ },
    }),
    create("read-only", true, {
      stored: { [`${C}/ReadOnly`]: true },
      container: { [`${H}/ReadonlyRootfs`]: true },
      inside: { "touch /var/x 2>&1": /Read-only/ },
    }),
    create("init", true, {
      stored: { [`${C}/Init`]: true },
      container: { [`${H}/Init`]: true },
      inside: { "tr '\\0' ' ' </proc/1/cmdline": /init.* -- \/bin\/sh -c / },
    }),
    create("tty", true, {
      stored: { [`${C}/TTY`]: true },
      container: { "Config/Tty": true },
      inside: { "readlink /proc/1/fd/1": /^\/dev\/(?:pts\/0|console)$/ },
    }),
    create("stop-signal", "SIGUSR1", {
      stored: { [`${C}/StopSignal`]: "SIGUSR1" },
      container: { "Config/StopSignal": "SIGUSR1" },
    }),
    create("stop-grace-period", "300ms", { stored: { [`${C}/StopGracePeriod`]: 0.3 * S } }),
    create("restart-condition", "on-failure", {
      stored: { [`${T}/RestartPolicy/Condition`]: "on-failure" },
    }),
    create("restart-delay", "7s", { stored: { [`${T}/RestartPolicy/Delay`]: 7 * S } }),
    create("restart-max-attempts", "4", { stored: { [`${T}/RestartPolicy/MaxAttempts`]: 4 } }),
    create("restart-window", "2m", { stored: { [`${T}/RestartPolicy/Window`]: 120 * S } }),
    ...["update", "rollback"].flatMap((which) => policyRows("create", which, which === "update")),
    create("log-driver", "json-file", {
      stored: { [`${T}/LogDriver/Name`]: "json-file" },
      container: { [`${H}/LogConfig/Type`]: "json-file" },
    }),
    create("log-opt", "max-size=2m", {
      stored: { [`${T}/LogDriver/Options`]: { "max-size": "2m" } },
      container: { [`${H}/LogConfig/Config/max-size`]: "2m" },
    }),
  ],
  update: [
    update("detach", true),
    update("no-resolve-image", true),
    update("with-registry-auth", true),
    update("image", "skein-hello:2", {
      stored: { [`${C}/Image`]: "skein-hello:2" },
      container: { "Config/Image": "skein-hello:2" },
    }),
    update("args", "'exec sleep 2000'", {
      stored: { [`${C}/Args`]: ["exec sleep 2000"] },
      container: { "Config/Cmd": ["exec sleep 2000"] },
    }),
    update("entrypoint", "/bin/busybox sh -c", {
      stored: { [`${C}/Command`]: ["/bin/busybox", "sh", "-c"] },
      container: { "Config/Entrypoint": ["/bin/busybox", "sh", "-c"] },
    }),
    update("replicas", "2", { stored: { "Mode/Replicated/Replicas": 2 } }),
    update("replicas-max-per-node", "3", { stored: { [`${T}/Placement/MaxReplicas`]: 3 } }),
    update("constraint-add", "node.hostname==host1", {
      stored: { [`${T}/Placement/Constraints`]: ["node.hostname==host1"] },
    }),
    update("constraint-rm", "node.role==manager"),
    update("placement-pref-add", "spread=node.labels.room", {
      stored: {
        [`${T}/Placement/Preferences`]: [{ Spread: { SpreadDescriptor: "node.labels.room" } }],
      },
    }),
    update("placement-pref-rm", "spread=node.labels.rack"),
    update("generic-resource-add", "SSD=1", {
      stored: {
        [`${R}/Reservations/GenericResources`]: [{ DiscreteResourceSpec: { Kind: "SSD", Value: 1 } }],
      },
      inside: { "echo $DOCKER_RESOURCE_SSD/$DOCKER_RESOURCE_GPU": "1/" },
    }),
    update("generic-resource-rm", "GPU"),
    update("reserve-cpu", "0.2", { stored: { [`${R}/Reservations/NanoCPUs`]: 0.2 * S } }),
    update("reserve-memory", "17m", { stored: { [`${R}/Reservations/MemoryBytes`]: 17 * MIB } }),
    update("limit-cpu", "0.75", { container: { [`${H}/NanoCpus`]: 0.75 * S } }),
    update("limit-memory", "65m", { container: { [`${H}/Memory`]: 65 * MIB } }),
    update("limit-pids", "91", { container: { [`${H}/PidsLimit`]: 91 } }),
    update("oom-score-adj", "322", { inside: { "cat /proc/1/oom_score_adj": "322" } }),
    update("env-add", "MORE={{.Node.Hostname}}", { inside: { "echo $MORE": "host1" } }),
    update("env-rm", "TOLD", { inside: { "echo =$TOLD=": "==" } }),
    update("workdir", "/var", { inside: { pwd: "/var" } }),
    update("user", "1000:2000", { inside: { "echo $(id -u) $(id -g)": "1000 2000" } }),
    update("group-add", "1235", { container: { [`${H}/GroupAdd`]: ["1235"] } }),
    update("group-rm", "1234"),
    update("hostname", "renamed", { inside: { hostname: "renamed" } }),
    update("host-add", "cache.example:10.1.2.4", {
      inside: { "grep -c cache.example /etc/hosts": "1", "grep -c db.example /etc/hosts": "0" },
    }),
    update("host-rm", "db.example:10.1.2.3"),
    update("dns-add", "10.9.8.6", { stored: { [`${C}/DNSConfig/Nameservers`]: ["10.9.8.6"] } }),
    update("dns-rm", "10.9.8.7"),
    update("dns-option-add", "timeout:2", {
      stored: { [`${C}/DNSConfig/Options`]: ["timeout:2"] },
      inside: { "grep options /etc/resolv.conf": /timeout:2/ },
    }),
    update("dns-option-rm", "ndots:3"),
    update("dns-search-add", "outer.example", {
      inside: { "grep search /etc/resolv.conf": "search outer.example" },
    }),
    update("dns-search-rm", "inner.example"),
    update("label-add", "added=1", { stored: { Labels: { added: "1" } } }),
    update("label-rm", "on.service"),
    update("container-label-add", "c.added=1", { container: { "Config/Labels/c.added": "1" } }),
    update("container-label-rm", "on.container", {
      container: { "Config/Labels/on.container": undefined },
    }),
    update("mount-add", "type=tmpfs,target=/quicker", {
      inside: { "grep -c ' /quicker ' /proc/mounts": "1" },
    }),
    update("mount-rm", "/quick", { inside: { "grep -c ' /quick ' /proc/mounts": "0" } }),
    update("network-add", "name=m-other,alias=elsewhere", {
      container: { "NetworkSettings/Networks/m-net": undefined },
      inside: { "nslookup -type=a elsewhere 127.0.0.11 2>&1": /Address.*10\./ },
    }),
    update("network-rm", "m-net"),
    update("publish-add", "8083:83/tcp", {
      stored: { "EndpointSpec/Ports/0/PublishedPort": 8083, "EndpointSpec/Ports/1": undefined },
    }),
    update("publish-rm", "80/tcp"),
    update("endpoint-mode", "vip", { stored: { "EndpointSpec/Mode": "vip" } }),
    update("secret-add", "source=m-secret,target=other", {
      inside: { "ls /run/secrets": "other" },
    }),
    update("secret-rm", "m-secret"),
    update("config-add", "source=m-config,target=/other.conf", {
      inside: { "cat /other.conf": "colour=blue", "ls /etc/m.conf 2>&1": /No such/ },
    }),
    update("config-rm", "m-config"),
    update("cap-add", "CAP_SYS_NICE", {
      inside: { "grep CapBnd /proc/1/status": capability(23, true) },
    }),
    update("cap-drop", "CAP_CHOWN", { inside: { "grep CapBnd /proc/1/status": capability(0, false) } }),
    update("sysctl-add", "net.ipv4.ip_default_ttl=34", {
      inside: { "cat /proc/sys/net/ipv4/ip_default_ttl": "34" },
    }),
    update("sysctl-rm", "kernel.msgmax"),
    update("ulimit-add", "nproc=500:600", {
      container: { [`${H}/Ulimits`]: [{ Name: "nproc", Hard: 600, Soft: 500 }] },
      inside: { "grep processes /proc/1/limits": /500\s+600/ },
    }),
    update("ulimit-rm", "nofile"),
    {
      ...update("read-only", true, { inside: { "touch /tmp/x && echo done": "done" } }),
      args: ["--read-only=false"],
    },
    { ...update("init", true, { container: { [`${H}/Init`]: false } }), args: ["--init=false"] },
    { ...update("tty", true, { container: { "Config/Tty": false } }), args: ["--tty=false"] },
    update("stop-signal", "SIGTERM", { container: { "Config/StopSignal": "SIGTERM" } }),
    update("stop-grace-period", "400ms", { stored: { [`${C}/StopGracePeriod`]: 0.4 * S } }),
    update("restart-condition", "any", { stored: { [`${T}/RestartPolicy/Condition`]: "any" } }),
    update("restart-delay", "1s", { stored: { [`${T}/RestartPolicy/Delay`]: S } }),
    update("restart-max-attempts", "5", { stored: { [`${T}/RestartPolicy/MaxAttempts`]: 5 } }),
    update("restart-window", "3m", { stored: { [`${T}/RestartPolicy/Window`]: 180 * S } }),
    ...["update", "rollback"].flatMap((which) => policyRows("update", which, false)),
    update("log-driver", "local", { stored: { [`${T}/LogDriver/Name`]: "local" } }),
    update("log-opt", "max-size=3m", { stored: { [`${T}/LogDriver/Options/max-size`]: "3m" } }),
    update("quiet", true),
  ],
  running: 2,
});

/** @returns a line of /proc/PID/status whose mask has the bit, or not. */
function capability(bit: number, has: boolean): RegExp {
  const digits = Math.floor(bit / 4); // hexadecimal digits right of the one that holds the bit
  const holds = [..."0123456789abcdef"].filter((_, value) => ((value >> (bit % 4)) & 1) === (has ? 1 : 0));
  return new RegExp(`[${holds.join("")}][0-9a-f]{${digits}}$`);
}

/** Parallelism, delay, order, monitor, failure action and ratio of updates or rollbacks. */
function policyRows(command: "create" | "update", which: string, rollsBack: boolean): readonly FlagRow[] {
  const P = which === "update" ? "UpdateConfig" : "RollbackConfig";
  const action = rollsBack ? "rollback" : "continue";
  return [
    row(command, `${which}-parallelism`, "2", { stored: { [`${P}/Parallelism`]: 2 } }),
    row(command, `${which}-delay`, "100ms", { stored: { [`${P}/Delay`]: 0.1 * S } }),
    row(command, `${which}-order`, "stop-first", { stored: { [`${P}/Order`]: "stop-first" } }),
    row(command, `${which}-monitor`, "200ms", { stored: { [`${P}/Monitor`]: 0.2 * S } }),
    row(command, `${which}-failure-action`, action, { stored: { [`${P}/FailureAction`]: action } }),
    row(command, `${which}-max-failure-ratio`, "0.25", { stored: { [`${P}/MaxFailureRatio`]: 0.25 } }),
  ];
}

const checks = (
  make: typeof create,
  values: { readonly retries: number; readonly interval: string; readonly intervalNs: number },
): readonly FlagRow[] => [
  make("health-cmd", "test -d /www", {
    stored: { [`${C}/Healthcheck/Test`]: ["CMD-SHELL", "test -d /www"] },
    container: { "Config/Healthcheck/Test": ["CMD-SHELL", "test -d /www"], "State/Health/Status": "healthy" },
  }),
  make("health-interval", values.interval, {
    stored: { [`${C}/Healthcheck/Interval`]: values.intervalNs },
    container: { "Config/Healthcheck/Interval": values.intervalNs },
  }),
  make("health-timeout", "9s", { container: { "Config/Healthcheck/Timeout": 9 * S } }),
  make("health-retries", `${values.retries}`, {
    container: { "Config/Healthcheck/Retries": values.retries },
  }),
  make("health-start-period", "3s", { container: { "Config/Healthcheck/StartPeriod": 3 * S } }),
  make("health-start-interval", "100ms", {
    container: { "Config/Healthcheck/StartInterval": 0.1 * S },
  }),
];

const health: Batch = {
  name: "m-health",
  command: [IMAGE, "sh", "-c", SLEEP],
  create: [
    create("name", "m-health"),
    create("quiet", true),
    create("no-resolve-image", true),
    create("update-monitor", "100ms"),
    ...checks(create, { retries: 3, interval: "200ms", intervalNs: 0.2 * S }),
  ],
  prints: /^[0-9a-z]{25}\n$/,
  update: [
    update("detach", true),
    update("force", true, { stored: { [`${T}/ForceUpdate`]: 1 } }),
    ...checks(update, { retries: 4, interval: "300ms", intervalNs: 0.3 * S }),
  ],
};

const global: Batch = {
  name: "m-global",
  command: [IMAGE, "sh", "-c", SLEEP],
  create: [
    create("name", "m-global"),
    create("detach", true),
    create("mode", "global", { stored: { "Mode/Global": {} } }),
    create("network", "m-net"),
    create("endpoint-mode", "dnsrr", {
      stored: { "EndpointSpec/Mode": "dnsrr" },
      inside: { "nslookup -type=a m-global 127.0.0.11 2>&1": /Address.*10\./ },
    }),
    create("publish", "published=8082,target=81,protocol=udp,mode=host", {
      stored: { "EndpointSpec/Ports/0/PublishMode": "host" },
      container: { "NetworkSettings/Ports/81~1udp/0/HostPort": "8082" },
    }),
    create("update-monitor", "100ms"),
    create("no-healthcheck", true, {
      stored: { [`${C}/Healthcheck/Test`]: ["NONE"] },
      container: { "Config/Healthcheck/Test": ["NONE"], "State/Health": undefined },
    }),
    create("isolation", "default", { stored: { [`${C}/Isolation`]: "default" } }),
    { flag: "service create --no-resolve-image", args: ["--no-resolve-image"] },
  ],
  update: [
    update("detach", true),
    update("isolation", "default", { stored: { [`${C}/Isolation`]: "default" } }),
    update("no-healthcheck", true, { container: { "State/Health": undefined } }),
    update("env-add", "A=b", { inside: { "echo $A": "b" } }),
  ],
};

const job: Batch = {
  name: "m-job",
  updateCli: "skein", // the stock command takes the flag and sends nothing of it
  command: [IMAGE, "sleep", "1000"],
  create: [
    create("name", "m-job"),
    create("detach", true),
    create("no-resolve-image", true),
    create("mode", "replicated-job", { stored: { "Mode/ReplicatedJob/TotalCompletions": 2 } }),
    create("replicas", "2"),
    create("max-concurrent", "1", { stored: { "Mode/ReplicatedJob/MaxConcurrent": 1 } }),
    create("restart-condition", "none"),
    create("stop-grace-period", "0s"),
  ],
  update: [
    update("detach", true),
    update("max-concurrent", "2", { stored: { "Mode/ReplicatedJob/MaxConcurrent": 2 } }),
  ],
  running: 2,
};

/** Flags of newer stock commands. */
const swap: Batch = {
  name: "m-swap",
  cli: "skein",
  command: [IMAGE, "sleep", "1000"],
  create: [
    create("name", "m-swap"),
    create("detach", true),
    create("limit-memory", "32m"),
    create("update-monitor", "100ms"),
    create("memory-swap", "16m", {
      stored: { [`${R}/SwapBytes`]: 16 * MIB },
      container: { [`${H}/MemorySwap`]: 48 * MIB },
    }),
    create("memory-swappiness", "40", {
      stored: { [`${R}/MemorySwappiness`]: 40 },
      container: { [`${H}/MemorySwappiness`]: 40 },
    }),
    create("stop-grace-period", "0s"),
  ],
  update: [
    update("detach", true),
    update("memory-swap", "-1", {
      stored: { [`${R}/SwapBytes`]: -1 },
      container: { [`${H}/MemorySwap`]: -1 },
    }),
    update("memory-swappiness", "50", { stored: { [`${R}/MemorySwappiness`]: 50 } }),
  ],
};

/** Kept, and without effect on Linux, as the reference says of it. */
const windows: Batch = {
  name: "m-windows",
  command: [IMAGE, "sleep", "1000"],
  create: [
    create("name", "m-windows"),
    create("detach", true),
    create("no-resolve-image", true),
    create("replicas", "0"),
    create("credential-spec", "file://spec.json", {
      stored: { [`${C}/Privileges/CredentialSpec/File`]: "spec.json" },
    }),
  ],
  update: [
    update("detach", true),
    update("credential-spec", "registry://key", {
      stored: { [`${C}/Privileges/CredentialSpec/Registry`]: "key" },
    }),
  ],
  running: 0,
};
