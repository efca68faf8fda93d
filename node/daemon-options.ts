/**
 * What skeind was told: flags and settings file, checked, with every default. Pure over the host's name and
 * the reader of files it is given.
 */
import type { ApiListener, ApiTls } from "../api/http-listeners.js";
import { InvalidArgumentError } from "../base/errors/errors.js";
import { parseAddress } from "../net-overlay/ipam/cidr.js";
import type { EngineSettings } from "../proto/engine/settings.js";
import { FLAGS, type Flag, type FlagName } from "./daemon-flags.js";
import { type FlagValues, joined, parseConfigFile, parseFlags } from "./daemon-settings.js";
import { genericResources } from "./generic-resources.js";

export interface DaemonOptions {
  readonly dataDir: string;
  readonly runDir: string;
  /** Of the first unix listener. */
  readonly socketPath: string;
  readonly listeners: readonly ApiListener[];
  /** On tcp listeners; undefined: plain. */
  readonly tls: ApiTls | undefined;
  /** Group of the unix sockets. */
  readonly group: string;
  readonly pidFile: string;
  readonly configFile: string;
  readonly hostname: string;
  readonly cgroupParent: string;
  readonly managerUser: string;
  readonly logLevel: string;
  /** Of a node that comes back to its swarm; undefined: as it was, or as its interface has it now. */
  readonly advertiseAddr: string | undefined;
  readonly settings: EngineSettings;
  /** What has no effect, in sentences. */
  readonly warnings: readonly string[];
}

/** What is read besides the arguments. */
export interface OptionSources {
  readonly hostname: string;
  /** undefined: no such file. */
  readonly readFile: (path: string) => string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const DEFAULT_CONFIG_FILE = "/etc/skein/daemon.json";
const DEFAULT_SHM_BYTES = 64 * 2 ** 20;
/** What 0 means, as in dockerd; connections to one registry have a bound of their own. */
const UNBOUNDED = Number.MAX_SAFE_INTEGER;
const DEFAULT_PORTS = { plain: 2375, tls: 2376 };

function nameOf(name: string, flag: Flag): string {
  const short = flag.short === undefined ? "    " : `-${flag.short}, `;
  const value = { text: " TEXT", number: " NUMBER", list: " TEXT", map: " KEY=VALUE", flag: "" }[flag.kind];
  return `  ${short}--${name}${value}`;
}

export const HELP = `Usage: skeind [options]

The Skein daemon: one per host, as root. It serves the Docker Engine API; 'skein swarm init' or 'skein swarm join' then
makes the host part of a swarm. Flags have dockerd's names wherever they mean the same; each may stand in
${DEFAULT_CONFIG_FILE} as well, under the key that dockerd's daemon.json has for it. SIGHUP reads that file again.

Defaults: --data-root /var/lib/skein, --exec-root /run/skein, --host unix://EXEC-ROOT/skein.sock.

Options:
${(Object.entries(FLAGS) as [string, Flag][])
  .map(([name, flag]) => `${nameOf(name, flag).padEnd(44)} ${flag.help}${aliasText(flag)}`)
  .join("\n")}

Environment:
  SKEIN_LINUX               koffi or spawn: system calls, or commands in their place and no networks
                            (default koffi, and spawn where it cannot be loaded)
  HTTP_PROXY, HTTPS_PROXY, NO_PROXY   proxies for registries where the flags name none
`;

function aliasText({ alias }: Flag): string {
  return alias === undefined ? "" : ` (also --${alias})`;
}

class Values {
  readonly #values: FlagValues;

  constructor(values: FlagValues) {
    this.#values = values;
  }

  text(name: FlagName, otherwise = ""): string {
    const value = this.#values.get(name);
    return typeof value === "string" ? value : otherwise;
  }

  flag(name: FlagName, otherwise = false): boolean {
    const value = this.#values.get(name);
    return typeof value === "boolean" ? value : otherwise;
  }

  number(name: FlagName, otherwise: number): number {
    const value = this.#values.get(name);
    return typeof value === "number" ? value : otherwise;
  }

  list(name: FlagName): readonly string[] {
    const value = this.#values.get(name);
    return Array.isArray(value) ? (value as readonly string[]) : []; // the table says which are lists
  }

  map(name: FlagName): Readonly<Record<string, string>> {
    const value = this.#values.get(name);
    return typeof value === "object" && !Array.isArray(value)
      ? (value as Readonly<Record<string, string>>) // the table says which are maps
      : {};
  }
}

/** @throws {InvalidArgumentError} naming the rule. */
export function parseListener(text: string, secure: boolean): ApiListener {
  if (text.startsWith("unix://")) {
    const path = text.slice("unix://".length) || "/var/run/docker.sock";
    if (!path.startsWith("/"))
      throw new InvalidArgumentError(`--host ${text}: the path of a socket is absolute`);
    return { kind: "unix", path };
  }
  const match = /^tcp:\/\/(\[[0-9a-fA-F:.]+\]|[^:/]*)(?::(\d{1,5}))?\/?$/.exec(text);
  if (match === null)
    throw new InvalidArgumentError(
      `--host must be unix:///PATH or tcp://ADDRESS:PORT, got ${JSON.stringify(text)}`,
    );
  const address = (match[1] ?? "").replace(/^\[|\]$/g, "") || "127.0.0.1";
  const port = match[2] === undefined ? DEFAULT_PORTS[secure ? "tls" : "plain"] : Number(match[2]);
  if (port < 1 || port > 65_535) throw new InvalidArgumentError(`--host ${text}: no such port`);
  if (address !== "localhost") checkAddress(address, text);
  return { kind: "tcp", address, port };
}

function checkAddress(address: string, host: string): void {
  try {
    parseAddress(address);
  } catch (error) {
    throw new InvalidArgumentError(`--host ${host}: an address is needed, not a name`, { cause: error });
  }
}

/** Whoever reaches the API is root here: without TLS others reach it only where somebody has said so. */
function mustBeLoopback(listeners: readonly ApiListener[]): void {
  for (const listener of listeners) {
    if (listener.kind === "unix" || /^(127\.|::1$|localhost$)/.test(listener.address)) continue;
    throw new InvalidArgumentError(
      `--host tcp://${listener.address}:${listener.port} without TLS gives root on this host to whoever reaches ` +
        "it: use --tlsverify, or say --tls=false when that is meant",
    );
  }
}

function tlsFiles(values: Values): ApiTls | undefined {
  const verify = values.flag("tlsverify");
  if (!verify && !values.flag("tls")) return undefined;
  const [certificate, key, ca] = [values.text("tlscert"), values.text("tlskey"), values.text("tlscacert")];
  if (certificate === "" || key === "") throw new InvalidArgumentError("TLS needs --tlscert and --tlskey");
  if (verify && ca === "") throw new InvalidArgumentError("--tlsverify needs --tlscacert");
  return { clientCa: verify ? ca : undefined, certificate, key };
}

function bytes(name: string, text: string): number {
  const match = /^(\d+)([kmgt]?)b?$/i.exec(text.trim());
  if (match === null)
    throw new InvalidArgumentError(`--${name} must be a size like 64M, got ${JSON.stringify(text)}`);
  const power = ["", "k", "m", "g", "t"].indexOf((match[2] ?? "").toLowerCase());
  return Number(match[1]) * 1024 ** power;
}

function ulimits(map: Readonly<Record<string, string>>): EngineSettings["container"]["ulimits"] {
  return Object.entries(map).map(([name, text]) => {
    const match = /^(-?\d+)(?::(-?\d+))?$/.exec(text);
    if (match === null)
      throw new InvalidArgumentError(`--default-ulimit ${name}: ${JSON.stringify(text)} is not SOFT[:HARD]`);
    const soft = Number(match[1]);
    return { name, soft, hard: match[2] === undefined ? soft : Number(match[2]) };
  });
}

function addressPools(list: readonly string[]): EngineSettings["network"]["addressPools"] {
  return list.map((text) => {
    const base = /(?:^|,)base=([^,]+)/.exec(text)?.[1];
    const size = /(?:^|,)size=(\d{1,3})(?:,|$)/.exec(text)?.[1];
    if (base === undefined || size === undefined)
      throw new InvalidArgumentError(
        `--default-address-pool must be base=CIDR,size=PREFIX, got ${JSON.stringify(text)}`,
      );
    return { base, size: Number(size) };
  });
}

function oneOf(values: Values, name: FlagName, words: readonly string[]): string {
  const word = values.text(name, words[0]);
  if (!words.includes(word)) {
    const list = words.filter((each) => each !== "").join(", ");
    throw new InvalidArgumentError(`--${name} must be one of ${list}, got ${JSON.stringify(word)}`);
  }
  return word;
}

function checkedGenericResources(list: readonly string[]): readonly string[] {
  genericResources(list);
  return list;
}

function settingsOf(values: Values, { environment }: OptionSources): EngineSettings {
  const proxy = (flag: FlagName, variable: string): string =>
    values.text(flag) || environment[variable] || environment[variable.toLowerCase()] || "";
  return {
    debug: values.flag("debug"),
    labels: values.list("label"),
    insecureRegistries: values.list("insecure-registry"),
    registryMirrors: values.list("registry-mirror"),
    maxConcurrentDownloads: values.number("max-concurrent-downloads", 3) || UNBOUNDED,
    maxConcurrentUploads: values.number("max-concurrent-uploads", 5) || UNBOUNDED,
    proxies: {
      http: proxy("http-proxy", "HTTP_PROXY"),
      https: proxy("https-proxy", "HTTPS_PROXY"),
      no: proxy("no-proxy", "NO_PROXY"),
    },
    nodeGenericResources: checkedGenericResources(values.list("node-generic-resource")),
    swarmDefaultAdvertiseAddr: values.text("swarm-default-advertise-addr"),
    container: {
      logDriver: values.text("log-driver", "json-file"),
      logOptions: values.map("log-opt"),
      init: values.flag("init"),
      ulimits: ulimits(values.map("default-ulimit")),
      shmSizeBytes: bytes("default-shm-size", values.text("default-shm-size", String(DEFAULT_SHM_BYTES))),
      ipcMode: oneOf(values, "default-ipc-mode", ["private", "shareable"]),
      cgroupnsMode: oneOf(values, "default-cgroupns-mode", ["", "private", "host"]),
      noNewPrivileges: values.flag("no-new-privileges"),
      runtime: oneOf(values, "default-runtime", ["", "crun", "runc"]),
      dns: values.list("dns"),
      dnsSearch: values.list("dns-search"),
      dnsOptions: values.list("dns-opt"),
      seccompProfile: values.text("seccomp-profile"),
    },
    network: {
      addressPools: addressPools(values.list("default-address-pool")),
      bridgeAddress: values.text("bip"),
      fixedCidr: values.text("fixed-cidr"),
      mtu: values.number("mtu", 1500),
      interContainer: values.flag("icc", true),
      masquerade: values.flag("ip-masq", true),
      hostAddress: values.text("ip"),
      hostGateway: values.text("host-gateway-ip"),
    },
  };
}

/**
 * @returns "help", "version" or "valid" when that was asked for.
 * @throws {InvalidArgumentError} an unknown flag or key, a bad value, or what is not supported.
 */
export function parseDaemonOptions(
  args: readonly string[],
  sources: OptionSources,
): DaemonOptions | "help" | "version" | "valid" {
  const flags = parseFlags(args);
  const early = new Values(flags.values);
  if (early.flag("help")) return "help";
  if (early.flag("version")) return "version";
  const configFile = early.text("config-file", DEFAULT_CONFIG_FILE);
  const text = sources.readFile(configFile);
  if (text === undefined && early.text("config-file") !== "")
    throw new InvalidArgumentError(`--config-file ${configFile}: no such file`);
  const { values: all, warnings } = joined(flags, parseConfigFile(text ?? ""));
  const values = new Values(all);
  const runDir = values.text("exec-root", "/run/skein");
  const tls = tlsFiles(values);
  const named = [
    ...values.list("host"),
    ...(values.text("socket") === "" ? [] : [`unix://${values.text("socket")}`]),
  ];
  const hosts = named.length > 0 ? named : [`unix://${runDir}/skein.sock`];
  const listeners = hosts.map((host) => parseListener(host, tls !== undefined));
  const unsafe = listeners.filter((listener) => listener.kind === "tcp" && tls?.clientCa === undefined);
  if (tls === undefined && !all.has("tls") && !all.has("tlsverify")) mustBeLoopback(unsafe);
  const unix = listeners.find((listener) => listener.kind === "unix");
  const settings = settingsOf(values, sources);
  const options: DaemonOptions = {
    dataDir: values.text("data-root", "/var/lib/skein"),
    runDir,
    socketPath: unix?.kind === "unix" ? unix.path : `${runDir}/skein.sock`,
    listeners,
    tls,
    group: values.text("group"),
    pidFile: values.text("pidfile"),
    configFile,
    hostname: values.text("hostname", sources.hostname),
    cgroupParent: values.text("cgroup-parent", "skein").replace(/^\/+|\/+$/g, ""),
    managerUser: values.text("manager-user", "skein"),
    logLevel: settings.debug ? "debug" : oneOf(values, "log-level", ["info", "debug", "warn", "error"]),
    advertiseAddr: values.text("advertise-addr") || undefined,
    settings,
    warnings: [
      ...warnings,
      ...(unsafe.length === 0
        ? []
        : ["the API listens on TCP without client certificates: whoever reaches it is root on this host"]),
    ],
  };
  return values.flag("validate") ? "valid" : options;
}
