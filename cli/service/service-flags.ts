/**
 * The flags of `service create` and what they have in common with `service update`. Edge: to commander.
 */
import { type Command, Option } from "commander";

const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];

/** A flag that may be given several times. */
export function listOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser(collect);
}

/** Flags with one value, the same on create and update. */
const COMMON: readonly (readonly [flags: string, description: string])[] = [
  ["--replicas <n>", "number of tasks"],
  ["--max-concurrent <n>", "job tasks that run at the same time"],
  ["--replicas-max-per-node <n>", "most tasks on one node; 0: no limit"],
  ["--reserve-cpu <cpus>", "CPUs kept free for each task when placing it"],
  ["--reserve-memory <bytes>", "memory kept free for each task when placing it"],
  ["--limit-cpu <cpus>", "most CPUs of each task"],
  ["--limit-memory <bytes>", "most memory of each task"],
  ["--limit-pids <n>", "most processes of each task; 0: no limit"],
  ["--memory-swap <bytes>", "swap of each task; -1: no limit"],
  ["--memory-swappiness <n>", "0 to 100; -1: the kernel's"],
  ["--oom-score-adj <n>", "-1000 to 1000"],
  ["--entrypoint <command>", "replaces the image's entrypoint"],
  ["-w, --workdir <dir>", "working directory"],
  ["-u, --user <user>", "user or user:group, by name or number"],
  ["--hostname <name>", "host name of the container; templates allowed"],
  ["--endpoint-mode <mode>", "vip or dnsrr"],
  [
    "--balance <policy>",
    "how connections are spread: roundrobin, sourcehash or localfirst (default roundrobin)",
  ],
  [
    "--idle-timeout <duration>",
    "end connections that are idle for that long: 1s to 480h, such as 15m (default 0: as the kernel does)",
  ],
  ["--isolation <mode>", "Windows only"],
  ["--credential-spec <spec>", "Windows only: config://ID, file://FILE or registry://KEY"],
  ["--stop-signal <signal>", "signal that asks the container to stop"],
  ["--stop-grace-period <duration>", "wait before it is killed (default 10s)"],
  ["--health-cmd <command>", "command that checks the health"],
  ["--health-interval <duration>", "time between checks"],
  ["--health-timeout <duration>", "longest time one check may take"],
  ["--health-retries <n>", "failures in a row that make it unhealthy"],
  ["--health-start-period <duration>", "grace while it starts"],
  ["--health-start-interval <duration>", "time between checks during that grace"],
  ["--restart-condition <condition>", "none, on-failure or any (default any)"],
  ["--restart-delay <duration>", "pause between restarts (default 5s)"],
  ["--restart-max-attempts <n>", "restarts before giving up; 0: no limit"],
  ["--restart-window <duration>", "time in which those restarts are counted"],
  ["--update-parallelism <n>", "tasks updated at the same time; 0: all (default 1)"],
  ["--update-delay <duration>", "pause between batches"],
  ["--update-order <order>", "stop-first or start-first"],
  ["--update-monitor <duration>", "watch each new task for that long (default 5s)"],
  ["--update-failure-action <action>", "pause, continue or rollback"],
  ["--update-max-failure-ratio <ratio>", "share of failures an update tolerates"],
  ["--rollback-parallelism <n>", "as --update-parallelism, for rollbacks"],
  ["--rollback-delay <duration>", "as --update-delay"],
  ["--rollback-order <order>", "as --update-order"],
  ["--rollback-monitor <duration>", "as --update-monitor"],
  ["--rollback-failure-action <action>", "pause or continue"],
  ["--rollback-max-failure-ratio <ratio>", "as --update-max-failure-ratio"],
  ["--log-driver <name>", "how output is kept"],
];

const SWITCHES: readonly (readonly [flags: string, description: string])[] = [
  ["--no-healthcheck", "ignore the image's health check"],
  ["--read-only", "read-only root file system"],
  ["--init", "a small init as process 1"],
  ["-t, --tty", "allocate a terminal"],
  ["-d, --detach", "return at once instead of waiting for convergence"],
  ["-q, --quiet", "no progress"],
  ["--with-registry-auth", "send the registry's credentials along (from the docker configuration)"],
  ["--no-resolve-image", "do not pin the image's digest"],
];

export interface ListFlag {
  /** Name on create, without dashes; "-add" and "-rm" follow on update. */
  readonly name: string;
  readonly value: string;
  readonly description: string;
  /** On update: where dashes differ, e.g. `cap-add` is the same on both. */
  readonly sameOnUpdate?: boolean;
}

/** Flags given several times; on update each splits into NAME-add and NAME-rm. */
export const LIST_FLAGS: readonly ListFlag[] = [
  { name: "constraint", value: "rule", description: "where tasks may run, e.g. node.role==worker" },
  { name: "placement-pref", value: "pref", description: "spread=node.labels.NAME" },
  { name: "generic-resource", value: "kind=n", description: "reserve a user-defined resource" },
  { name: "group", value: "group", description: "additional group" },
  { name: "host", value: "name:ip", description: "line of /etc/hosts" },
  { name: "dns", value: "ip", description: "name server" },
  { name: "dns-option", value: "option", description: "resolver option" },
  { name: "dns-search", value: "domain", description: "search domain" },
  { name: "container-label", value: "key=value", description: "label of the containers" },
  { name: "mount", value: "mount", description: "type=volume|bind|tmpfs,source=…,target=…[,readonly]" },
  { name: "network", value: "network", description: "network to attach to" },
  { name: "secret", value: "secret", description: "secret to place under /run/secrets" },
  { name: "config", value: "config", description: "config to place as a file" },
  { name: "sysctl", value: "key=value", description: "kernel setting of the container's namespaces" },
  { name: "ulimit", value: "name=soft[:hard]", description: "resource limit" },
  { name: "log-opt", value: "key=value", description: "option of the log driver", sameOnUpdate: true },
  { name: "cap-add", value: "capability", description: "give a capability", sameOnUpdate: true },
  { name: "cap-drop", value: "capability", description: "take a capability", sameOnUpdate: true },
];

function addCommon(command: Command): void {
  for (const [flags, description] of [...COMMON, ...SWITCHES])
    command.addOption(new Option(flags, description));
}

export function addCreateFlags(command: Command): void {
  addCommon(command);
  command.option("--name <name>", "name of the service");
  command.addOption(
    new Option("--mode <mode>", "replicated, global, replicated-job or global-job").default("replicated"),
  );
  command.addOption(listOption("-e, --env <key=value>", "environment variable"));
  command.addOption(listOption("--env-file <file>", "file with environment variables"));
  command.addOption(listOption("-l, --label <key=value>", "label of the service"));
  command.addOption(
    listOption(
      "-p, --publish <port>",
      "[address:]published:target[/protocol], or target=…,published=…,mode=host,address=…,allow=…,source=snat",
    ),
  );
  for (const flag of LIST_FLAGS)
    command.addOption(listOption(`--${flag.name} <${flag.value}>`, flag.description));
}

export function addUpdateFlags(command: Command): void {
  addCommon(command);
  command.option("--image <image>", "image of the tasks");
  command.option("--args <command>", "arguments of the command");
  command.option("--force", "replace all tasks though nothing changed");
  command.option("--rollback", "go back to the specification before the last update");
  for (const flag of [
    { name: "env", value: "key=value", description: "environment variable" },
    { name: "label", value: "key=value", description: "label of the service" },
    { name: "publish", value: "port", description: "published port" },
    ...LIST_FLAGS.filter((each) => each.sameOnUpdate !== true),
  ]) {
    command.addOption(listOption(`--${flag.name}-add <${flag.value}>`, `add or change: ${flag.description}`));
    command.addOption(listOption(`--${flag.name}-rm <key>`, `remove: ${flag.description}`));
  }
  for (const flag of LIST_FLAGS.filter((each) => each.sameOnUpdate === true)) {
    command.addOption(listOption(`--${flag.name} <${flag.value}>`, flag.description));
  }
}

/** What commander hands over: camel-cased names to a string, a list or true. */
export class FlagValues {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  #of(name: string): unknown {
    return this.#values[name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())];
  }

  text(name: string): string | undefined {
    const value = this.#of(name);
    return typeof value === "string" ? value : undefined;
  }

  list(name: string): readonly string[] {
    const value = this.#of(name);
    return Array.isArray(value) ? value.map(String) : [];
  }

  /** Given as a switch. */
  has(name: string): boolean {
    return this.#of(name) === true;
  }

  /** A --no-NAME switch was given. */
  negated(name: string): boolean {
    return this.#of(name) === false;
  }
}
