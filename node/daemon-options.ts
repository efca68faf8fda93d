/**
 * The command line of skeind. Edge: to node:util and node:os.
 * Every flag has a default that fits one daemon on one host.
 */
import { hostname } from "node:os";
import { parseArgs } from "node:util";
import { InvalidArgumentError, messageOf } from "../base/errors/errors.js";

export interface DaemonOptions {
  readonly dataDir: string;
  readonly runDir: string;
  readonly socketPath: string;
  readonly hostname: string;
  readonly cgroupParent: string;
  readonly labels: readonly string[];
  readonly insecureRegistries: readonly string[];
  readonly managerUser: string;
  readonly logLevel: string;
  /** Of a node that comes back to its swarm; undefined: as it was, or as its interface has it now. */
  readonly advertiseAddr: string | undefined;
}

export const HELP = `Usage: skeind [options]

The Skein daemon: one per host, as root. It serves the Docker Engine API on a unix socket; 'skein swarm init' or
'skein swarm join' then makes the host part of a swarm.

Options:
  --data-dir DIR            images, containers, volumes, swarm state        (default /var/lib/skein)
  --run-dir DIR             sockets and what need not survive a reboot      (default /run/skein)
  --socket PATH             where the API listens                           (default RUN-DIR/skein.sock)
  --hostname NAME           this node's name in 'node ls'                   (default the host's)
  --cgroup-parent NAME      cgroup that holds the containers                (default skein)
  --label KEY=VALUE         engine label, repeatable; constraint: engine.labels.KEY
  --insecure-registry HOST  registry (host[:port] or CIDR) reached by plain HTTP, repeatable; loopback always may be
  --advertise-addr ADDR     IP or interface[:PORT] that others use for this node from now on, for a member of
                            a swarm whose address has changed      (default as it was, or as its interface has it)
  --manager-user NAME       unprivileged user of the manager process        (default skein, else uid 64731)
  --log-level LEVEL         debug, info, warn or error                      (default info)
  -h, --help                this text
  --version                 the version

Environment:
  SKEIN_LINUX               koffi or spawn: system calls, or commands in their place and no networks
                            (default koffi, and spawn where it cannot be loaded)
`;

/**
 * @returns "help" or "version" when that was asked for.
 * @throws {InvalidArgumentError} an unknown flag or a bad value.
 */
export function parseDaemonOptions(args: readonly string[]): DaemonOptions | "help" | "version" {
  let values: ReturnType<typeof parse>["values"];
  try {
    ({ values } = parse(args));
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)} (see skeind --help)`, { cause: error });
  }
  if (values.help) return "help";
  if (values.version) return "version";
  const level = values["log-level"] ?? "info";
  if (!["debug", "info", "warn", "error"].includes(level)) {
    throw new InvalidArgumentError(
      `--log-level must be debug, info, warn or error, got ${JSON.stringify(level)}`,
    );
  }
  const runDir = values["run-dir"] ?? "/run/skein";
  return {
    dataDir: values["data-dir"] ?? "/var/lib/skein",
    runDir,
    socketPath: values.socket ?? `${runDir}/skein.sock`,
    hostname: values.hostname ?? hostname(),
    cgroupParent: (values["cgroup-parent"] ?? "skein").replace(/^\/+|\/+$/g, ""),
    labels: values.label ?? [],
    insecureRegistries: values["insecure-registry"] ?? [],
    managerUser: values["manager-user"] ?? "skein",
    logLevel: level,
    advertiseAddr: values["advertise-addr"],
  };
}

// The return type is inferred from the options: parseArgs maps each to its value's type.
function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: false,
    options: {
      "data-dir": { type: "string" },
      "run-dir": { type: "string" },
      socket: { type: "string" },
      hostname: { type: "string" },
      "cgroup-parent": { type: "string" },
      label: { type: "string", multiple: true },
      "insecure-registry": { type: "string", multiple: true },
      "advertise-addr": { type: "string" },
      "manager-user": { type: "string" },
      "log-level": { type: "string" },
      help: { type: "boolean", short: "h" },
      version: { type: "boolean" },
    },
  });
}
