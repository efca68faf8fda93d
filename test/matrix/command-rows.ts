/**
 * Commands that look at services, nodes, secrets, configs and networks, and what each of their flags does;
 * in this order, on the services of service-rows.ts.
 * Pure.
 */
import type { CommandRow, ElsewhereRow } from "./matrix-row.js";

const ID = "[0-9a-z]{25}";
const IMAGE = "skein-hello:latest";

/** @param line a command line without quotes; `flags`: those of it that it is about. */
function row(line: string, flags: string, seen: Omit<CommandRow, "flags" | "args">): CommandRow {
  const args = line.split(" ");
  return { flags: flags.split(" ").map((flag) => `${command(args)} ${flag}`), args, ...seen };
}

const command = (args: readonly string[]): string => args.slice(0, 2).join(" ");

/** Before the services: what they use. */
export const PREPARING: readonly CommandRow[] = [
  row("secret create --label a=b m-secret -", "--label", {
    input: "hush",
    prints: new RegExp(`^${ID}\n$`),
    afterwards: [
      {
        args: ["secret", "inspect", "--format", "{{.Spec.Labels}} {{.Spec.Name}} {{.Spec.Data}}", "m-secret"],
        prints: /^map\[a:b\] m-secret \[\]\n$/,
      },
    ],
  }),
  row("secret create --template-driver golang m-template -", "--template-driver", {
    input: "{{.Service.Name}}",
    afterwards: [
      { args: ["secret", "inspect", "m-template"], prints: /"Templating": \{\s+"Name": "golang"/ },
    ],
  }),
  row("secret create --driver nobody m-driver", "--driver", {
    prints: /^\w{25}$/m,
    afterwards: [{ args: ["secret", "inspect", "m-driver"], prints: /"Driver": \{\s+"Name": "nobody"/ }],
  }),
  row("config create --label a=b m-config -", "--label", {
    input: "colour=blue",
    afterwards: [
      {
        args: ["config", "inspect", "--format", "{{.Spec.Labels}} {{printf `%s` .Spec.Data}}", "m-config"],
        prints: /^map\[a:b\] colour=blue\n$/,
      },
    ],
  }),
  row("config create --template-driver golang m-template -", "--template-driver", {
    input: "{{.Service.Name}}",
    afterwards: [
      { args: ["config", "inspect", "m-template"], prints: /"Templating": \{\s+"Name": "golang"/ },
    ],
  }),
  row("network create --driver overlay --attachable --label a=b m-net", "--driver --attachable --label", {
    prints: new RegExp(`^${ID}\n$`),
    afterwards: [
      {
        args: [
          "network",
          "inspect",
          "--format",
          "{{.Driver}} {{.Attachable}} {{.Labels}} {{.Scope}}",
          "m-net",
        ],
        prints: /^overlay true map\[a:b\] swarm\n$/,
      },
    ],
  }),
  row(
    "network create -d overlay --scope swarm --internal --subnet 10.55.0.0/16 --ip-range 10.55.4.0/24 " +
      "--gateway 10.55.0.7 --aux-address spare=10.55.4.9 --ipam-driver default --ipam-opt a=b " +
      "--opt com.docker.network.driver.mtu=1300 --ipv4 m-other",
    "--scope --internal --subnet --ip-range --gateway --aux-address --ipam-driver --ipam-opt --opt --ipv4",
    {
      afterwards: [
        {
          args: ["network", "inspect", "m-other"],
          prints: /"Internal": true[\s\S]*|"Driver": "default",\s+"Options": \{\s+"a": "b"\s+\}/,
        },
        {
          args: ["network", "inspect", "--format", "{{json .IPAM.Config}} {{json .Options}}", "m-other"],
          prints: /10\.55\.0\.0\/16","IPRange":"10\.55\.4\.0\/24".*"spare":"10\.55\.4\.9"\}.*mtu":"1300"/,
        },
      ],
    },
  ),
  row("network create --ipv6 --subnet 10.68.0.0/24 --subnet fd00:77::/64 m-six", "--ipv6", {
    afterwards: [
      {
        args: ["network", "inspect", "--format", "{{.EnableIPv6}} {{json .IPAM.Config}}", "m-six"],
        prints: /^true .*fd00:77::/,
      },
    ],
  }),
  row("network create -d overlay --ipv6 m-six-wide", "--ipv6", {
    afterwards: [
      {
        args: ["network", "inspect", "--format", "{{.EnableIPv6}} {{json .IPAM.Config}}", "m-six-wide"],
        prints: /^true \[\{"Subnet":"10\..*\{"Subnet":"fd53:6b65:696f:/,
      },
    ],
  }),
  // there is one; how it is replaced: network-objects.test.ts
  row("network create -d overlay --ingress m-ingress", "--ingress", { fails: /ingress network .*already/i }),
  row("network create --config-only --subnet 10.66.0.0/16 m-settings", "--config-only", {
    afterwards: [
      {
        args: ["network", "inspect", "--format", "{{.ConfigOnly}} {{.Driver}} {{.Scope}}", "m-settings"],
        prints: /^true null local\n$/,
      },
    ],
  }),
  row("network create --config-from m-settings m-settled", "--config-from", {
    afterwards: [
      {
        args: [
          "network",
          "inspect",
          "--format",
          "{{.ConfigFrom.Network}} {{json .IPAM.Config}}",
          "m-settled",
        ],
        prints: /^m-settings \[\{"Subnet":"10\.66\.0\.0\/16"/,
      },
    ],
  }),
];

/** While the services run. */
export const LOOKING: readonly CommandRow[] = [
  row("service ls --filter name=m-glob --format {{.Name}}/{{.Mode}}/{{.Replicas}}", "--filter --format", {
    prints: /^m-global\/global\/1\/1\n$/,
  }),
  row("service ls --filter mode=replicated-job --quiet", "--filter --quiet", { prints: /^[0-9a-z]{12}\n$/ }),
  row("service ls --filter label=added=1 -q", "--filter", { prints: /^[0-9a-z]{12}\n$/ }),
  row(
    "service ps --filter desired-state=running --format {{.Name}}/{{.Node}} m-global",
    "--filter --format",
    {
      prints: /^m-global\.[0-9a-z]{25}\/host1\n$/,
    },
  ),
  row("service ps --quiet --no-trunc m-global", "--quiet --no-trunc", {
    prints: new RegExp(`^(?:${ID}\n)+$`),
  }),
  row("service ps --no-resolve --format {{.Node}} -f node=host1 m-health", "--no-resolve", {
    prints: new RegExp(`^(?:${ID}\n)+$`),
  }),
  row("service inspect --format {{.Spec.Name}} m-plain", "--format", { prints: /^m-plain\n$/ }),
  row("service inspect --pretty m-plain", "--pretty", {
    prints: /UpdateConfig:[\s\S]* Parallelism:\s+2[\s\S]*RollbackConfig:[\s\S]*Limits:\s+CPU:\s+0\.75/,
  }),
  row("service logs --raw --no-resolve --tail 1 m-said", "--raw --no-resolve --tail", {
    prints: /^third \u001b line\n$/,
  }),
  row("service logs --no-task-ids --no-trunc m-said", "--no-task-ids --no-trunc", {
    prints: /^m-said\.1@host1\s+\| first\n/,
  }),
  row("service logs --timestamps --since 1h -n 1 m-said", "--timestamps --since", {
    prints: /^\d{4}-\d\d-\d\dT[0-9:.]+Z m-said\.1\.[0-9a-z]{12}@host1\s+\| third/,
  }),
  row("service logs --since 2099-01-01T00:00:00Z m-said", "--since", { prints: /^$/ }),
  row("service logs --details --tail 1 m-said", "--details", { prints: /\bword=up\b.*third/ }),
  row("service scale --detach m-scaled=2", "--detach", {
    prints: /^m-scaled scaled to 2\n$/,
    afterwards: [
      {
        args: ["service", "inspect", "-f", "{{.Spec.Mode.Replicated.Replicas}}", "m-scaled"],
        prints: /^2\n$/,
      },
    ],
  }),
  row("service rollback --detach m-scaled", "--detach", {
    afterwards: [
      {
        args: ["service", "inspect", "-f", "{{.Spec.Mode.Replicated.Replicas}}", "m-scaled"],
        prints: /^1\n$/,
      },
    ],
  }),
  row("service rollback --quiet m-scaled", "--quiet", {
    afterwards: [
      {
        args: ["service", "inspect", "-f", "{{.Spec.Mode.Replicated.Replicas}}", "m-scaled"],
        prints: /^2\n$/,
      },
    ],
  }),
  row("service update --rollback --detach m-scaled", "--rollback", {
    afterwards: [
      {
        args: ["service", "inspect", "-f", "{{.Spec.Mode.Replicated.Replicas}}", "m-scaled"],
        prints: /^1\n$/,
      },
    ],
  }),
  row("node ps --filter name=m-health --format {{.Name}} self", "--filter --format", {
    prints: /^m-health\.1\n/,
  }),
  row(
    "node ps --no-resolve --no-trunc --quiet -f desired-state=running host1",
    "--no-resolve --no-trunc --quiet",
    {
      prints: new RegExp(`^(?:${ID}\n){4,}$`),
    },
  ),
  row("secret ls --filter name=m-sec --format {{.Name}}", "--filter --format", { prints: /^m-secret\n$/ }),
  row("secret ls --filter label=a=b --quiet", "--filter --quiet", { prints: new RegExp(`^${ID}\n$`) }),
  row("secret inspect --format {{.Spec.Name}} m-secret", "--format", { prints: /^m-secret\n$/ }),
  row("secret inspect --pretty m-secret", "--pretty", { prints: /Name:\s+m-secret\nLabels:\n - a=b/ }),
  row("config ls --filter name=m-conf --format {{.Name}}", "--filter --format", { prints: /^m-config\n$/ }),
  row("config ls --filter label=a=b --quiet", "--filter --quiet", { prints: new RegExp(`^${ID}\n$`) }),
  row("config inspect --format {{.Spec.Name}} m-config", "--format", { prints: /^m-config\n$/ }),
  row("config inspect --pretty m-config", "--pretty", { prints: /Name:\s+m-config[\s\S]*colour=blue/ }),
  row("network ls --filter driver=overlay --filter name=m- --format {{.Name}}", "--filter --format", {
    prints: /^m-net\nm-other\nm-six-wide\n$/,
  }),
  row("network ls --filter scope=swarm --filter label=a=b --no-trunc --quiet", "--no-trunc --quiet", {
    prints: new RegExp(`^${ID}\n$`),
  }),
  row("network inspect --format {{.Name}} m-net", "--format", { prints: /^m-net\n$/ }),
  row("network inspect --verbose m-net", "--verbose", {
    prints: /"Services": \{\s*"m-global"|"Tasks": \[\s*\{\s*"Name": "m-global/,
  }),
];

/** A container beside the services. */
export const CONNECTING: readonly CommandRow[] = [
  { flags: [], args: ["network", "create", "m-base"] },
  {
    flags: [],
    args: ["network", "create", "--subnet", "10.67.0.0/16", "--ipv6", "--subnet", "fd00:67::/64", "m-local"],
  },
  ...["m-beside", "m-linked"].map((name) => ({
    flags: [],
    args: ["run", "-d", "--name", name, "--network", "m-base", "--init", IMAGE, "sleep", "1000"],
  })),
  row(
    "network connect --alias beside --driver-opt a=b --gw-priority 7 --ip 10.67.0.77 --ip6 fd00:67::77 " +
      "m-local m-beside",
    "--alias --driver-opt --gw-priority --ip --ip6",
    {
      afterwards: [
        {
          args: ["inspect", "-f", '{{json (index .NetworkSettings.Networks "m-local")}}', "m-beside"],
          prints: /"Aliases":\["beside".*"DriverOpts":\{"a":"b"\},"GwPriority":7/,
        },
        {
          args: ["exec", "m-beside", "ip", "addr"],
          prints: /(?=[\s\S]*10\.67\.0\.77\/16)(?=[\s\S]*fd00:67::77\/64)/,
        },
      ],
    },
  ),
  row("network connect --link-local-ip 169.254.7.7 m-local m-linked", "--link-local-ip", {
    afterwards: [
      { args: ["exec", "m-linked", "ip", "addr"], prints: /169\.254\.7\.7\/16/ },
      {
        args: [
          "inspect",
          "-f",
          '{{json (index .NetworkSettings.Networks "m-local").IPAMConfig}}',
          "m-linked",
        ],
        prints: /^\{"LinkLocalIPs":\["169\.254\.7\.7"\]\}\n$/,
      },
    ],
  }),
  { flags: [], args: ["network", "disconnect", "m-local", "m-linked"] },
  row("network connect --link m-beside:friend m-local m-linked", "--link", {
    afterwards: [
      { args: ["exec", "m-linked", "nslookup", "-type=a", "friend", "127.0.0.11"], prints: /10\.67\.0\.77/ },
      { args: ["exec", "m-linked", "nslookup", "-type=a", "beside", "127.0.0.11"], prints: /10\.67\.0\.77/ },
    ],
  }),
  row("network disconnect --force m-local m-beside", "--force", {
    afterwards: [
      { args: ["inspect", "-f", "{{len .NetworkSettings.Networks}}", "m-beside"], prints: /^1\n$/ },
    ],
  }),
  // overlays of the cluster: one that is attachable, one that is not
  row("network connect --alias wide m-net m-beside", "--alias", {
    afterwards: [
      { args: ["exec", "m-beside", "nslookup", "-type=a", "wide", "127.0.0.11"], prints: /Address: 10\./ },
      { args: ["network", "inspect", "-f", "{{json .Containers}}", "m-net"], prints: /"Name":"m-beside"/ },
    ],
  }),
  {
    flags: [],
    args: ["network", "disconnect", "m-net", "m-beside"],
    afterwards: [
      { args: ["inspect", "-f", "{{len .NetworkSettings.Networks}}", "m-beside"], prints: /^1\n$/ },
    ],
  },
  {
    flags: [],
    args: ["network", "connect", "m-other", "m-beside"],
    fails: /Could not attach to network m-other: .* network m-other not manually attachable/,
  },
  { flags: [], args: ["rm", "-f", "m-linked", "m-beside"] },
  row("network rm --force m-missing", "--force", { prints: /^$/ }),
  { flags: [], args: ["network", "create", "--label", "idle=yes", "m-idle"] },
  row("network prune --filter label=idle=yes --force", "--filter --force", {
    prints: /^Deleted Networks:\nm-idle\n/,
  }),
];

/** Of the swarm; last, as it takes new certificates with it. */
export const ROTATING: readonly CommandRow[] = [
  row("swarm ca --rotate --detach", "--detach", {
    afterwards: [{ args: ["swarm", "ca"], prints: /^-----BEGIN CERTIFICATE-----/ }],
  }),
];

/** What has a test of its own. */
export const ELSEWHERE: readonly ElsewhereRow[] = [
  ...[
    ["swarm init", "advertise-addr autolock availability cert-expiry data-path-addr data-path-port"],
    ["swarm init", "default-addr-pool default-addr-pool-mask-length dispatcher-heartbeat external-ca"],
    ["swarm init", "listen-addr max-snapshots snapshot-interval task-history-limit"],
    ["swarm join", "advertise-addr availability data-path-addr listen-addr token"],
    ["swarm update", "autolock cert-expiry dispatcher-heartbeat external-ca max-snapshots"],
    ["swarm update", "snapshot-interval task-history-limit"],
    ["swarm ca", "ca-cert ca-key cert-expiry external-ca quiet rotate"],
    ["swarm join-token", "quiet rotate"],
    ["node ls", "filter format quiet"],
    ["node inspect", "format pretty"],
    ["node update", "availability label-add label-rm role"],
    ["node rm", "force"],
    ["swarm leave", "force"],
  ].map(([command = "", flags = ""]) => ({
    command,
    flags: flags.split(" "),
    file: "test/integration/swarm-flags.test.ts",
  })),
  { command: "swarm unlock-key", flags: ["quiet", "rotate"], file: "test/integration/autolock.test.ts" },
  { command: "swarm init", flags: ["force-new-cluster"], file: "test/integration/lost-quorum.test.ts" },
  { command: "service logs", flags: ["follow"], file: "test/integration/reach-logs.test.ts" },
];
