/**
 * `skein context …`: names for daemons. Edge: to files. No daemon is asked, but for `create --check`.
 */
import type { Command } from "commander";
import {
  FailedPreconditionError,
  InvalidArgumentError,
  messageOf,
  NotFoundError,
} from "../../base/errors/errors.js";
import { addressOf, DEFAULT_HOST } from "../connection/endpoint.js";
import {
  ContextStore,
  checkContextName,
  DEFAULT_CONTEXT,
  endpointOf,
  type StoredContext,
  TLS_FILES,
  type TlsFile,
} from "../connection/fs-context-store.js";
import { openClient } from "../connection/open-client.js";
import { choiceOf, currentContextName, type GlobalFlags } from "../connection/resolve-endpoint.js";
import { type Context, forEachName, readInput, textOf } from "../context.js";
import { printList } from "../output/print-list.js";
import type { Row } from "../output/table.js";
import { csvPairs } from "../units.js";
import { printInspect } from "./inspect.js";

interface EndpointFlags {
  readonly description?: string;
  readonly host?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly skipTlsVerify?: boolean;
  readonly docker?: string;
}

const env = (): Readonly<Record<string, string | undefined>> => process.env;
const storeOf = (): ContextStore => ContextStore.ofUser(env());

const addEndpointFlags = (command: Command): Command =>
  command
    .option("--description <text>", "what it is for")
    .option("--host <host>", "the daemon: unix:///PATH, tcp://HOST[:PORT] or ssh://[USER@]HOST[:PORT]")
    .option("--ca <file>", "trust daemons with certificates signed by this CA")
    .option("--cert <file>", "certificate of the client")
    .option("--key <file>", "its key")
    .option("--skip-tls-verify", "take any certificate of the daemon")
    .option(
      "--docker <settings>",
      "as docker has it: host=…,ca=FILE,cert=FILE,key=FILE,skip-tls-verify=true",
    );

const DOCKER_KEYS = ["host", "ca", "cert", "key", "skip-tls-verify", "from"];

/** --docker's settings as flags of their own. @throws {InvalidArgumentError} */
function spelledOut(flags: EndpointFlags): EndpointFlags & { readonly from?: string } {
  if (flags.docker === undefined) return flags;
  const pairs = csvPairs(flags.docker, "--docker");
  for (const key of pairs.keys())
    if (!DOCKER_KEYS.includes(key))
      throw new InvalidArgumentError(`--docker knows ${DOCKER_KEYS.join(", ")}, got ${JSON.stringify(key)}`);
  const { "skip-tls-verify": skip, ...texts } = Object.fromEntries(pairs);
  if (skip !== undefined && skip !== "true" && skip !== "false")
    throw new InvalidArgumentError(
      `--docker skip-tls-verify must be true or false, got ${JSON.stringify(skip)}`,
    );
  return { ...texts, ...(skip === undefined ? {} : { skipTlsVerify: skip === "true" }), ...flags };
}

async function withFlags(
  before: Omit<StoredContext, "from">,
  flags: EndpointFlags,
): Promise<Omit<StoredContext, "from">> {
  const tls: Partial<Record<TlsFile, Buffer>> = { ...before.tls };
  for (const kind of TLS_FILES) {
    const path = flags[kind];
    if (path !== undefined) tls[kind] = await readInput(path);
  }
  if ((tls.cert === undefined) !== (tls.key === undefined))
    throw new InvalidArgumentError("--cert and --key go together: give both");
  const host = flags.host ?? before.host;
  const address = addressOf(host, false, "--host");
  if (Object.keys(tls).length > 0 && address.kind !== "tcp")
    throw new InvalidArgumentError(`certificates are for tcp:// hosts, and ${host} is none`);
  return {
    ...before,
    host,
    description: flags.description ?? before.description,
    skipVerify: flags.skipTlsVerify ?? before.skipVerify,
    tls,
  };
}

async function create(
  context: Context,
  name: string,
  flags: EndpointFlags & { from?: string; check?: boolean },
): Promise<void> {
  checkContextName(name);
  const store = storeOf();
  if (store.find(name)?.from === "skein")
    throw new InvalidArgumentError(`context ${name} is there already: change it with 'skein context update'`);
  const spelled = spelledOut(flags);
  const from = flags.from ?? spelled.from;
  if (spelled.host === undefined && from === undefined)
    throw new InvalidArgumentError("context create needs --host (or --docker host=…), or --from CONTEXT");
  const base = from === undefined ? emptyContext(name) : { ...existing(store, from), name };
  const made = await withFlags(base, spelled);
  if (flags.check === true) await check(made);
  store.save(made);
  context.print(name);
  context.note(`Successfully created context "${name}": 'skein context use ${name}' makes it the default`);
}

const emptyContext = (name: string): Omit<StoredContext, "from"> => ({
  name,
  description: "",
  host: DEFAULT_HOST,
  skipVerify: false,
  tls: {},
});

const existing = (store: ContextStore, name: string): Omit<StoredContext, "from"> =>
  name === DEFAULT_CONTEXT ? emptyContext(name) : store.get(name);

/** @throws {Error} when no daemon answers there. */
async function check(made: Omit<StoredContext, "from">): Promise<void> {
  const client = await openClient(endpointOf({ ...made, from: "skein" }, "this context"));
  try {
    await client.text("GET", "/_ping");
  } finally {
    client.close();
  }
}

function listRow(each: StoredContext, current: string): Row {
  let fault = "";
  try {
    addressOf(each.host, false, "its host");
  } catch (error) {
    fault = messageOf(error);
  }
  return {
    Name: each.name,
    Current: each.name === current,
    Description: each.description,
    DockerEndpoint: each.host,
    From: each.from,
    Error: fault,
  };
}

async function list(
  context: Context,
  global: GlobalFlags,
  flags: { format?: string; quiet?: boolean },
): Promise<void> {
  const current = await currentContextName(global, env());
  const byDefault = { ...emptyContext(DEFAULT_CONTEXT), description: "The daemon of this host" };
  const rows = [{ ...byDefault, from: "skein" as const }, ...storeOf().list()].map((each) =>
    listRow(each, current),
  );
  const marked = flags.format === undefined || flags.format.startsWith("table");
  printList(
    context,
    [
      { header: "NAME", field: "Name" },
      { header: "DESCRIPTION", field: "Description", shrinks: true },
      { header: "ENDPOINT", field: "DockerEndpoint" },
      { header: "FROM", field: "From" },
      { header: "ERROR", field: "Error", shrinks: true },
    ],
    marked && flags.quiet !== true
      ? rows.map((row) => ({ ...row, Name: `${textOf(row["Name"])}${row["Current"] === true ? " *" : ""}` }))
      : rows,
    { ...flags, idField: "Name" },
  );
  const choice = choiceOf(global, env());
  if (choice !== undefined && "host" in choice && marked && flags.quiet !== true)
    context.note(`Warning: ${choice.source} names a daemon, and goes before contexts`);
}

async function use(context: Context, global: GlobalFlags, name: string): Promise<void> {
  const store = storeOf();
  if (name !== DEFAULT_CONTEXT) store.get(name);
  store.use(name === DEFAULT_CONTEXT ? undefined : name);
  context.print(name);
  context.note(`Current context is now "${name}"`);
  const choice = choiceOf(global, env());
  if (choice !== undefined)
    context.note(`Warning: ${choice.source} is set and goes before it: unset it to use this context`);
}

async function update(context: Context, name: string, flags: EndpointFlags): Promise<void> {
  const store = storeOf();
  const before = store.get(name);
  if (before.from === "docker")
    throw new InvalidArgumentError(
      `context ${name} is docker's: copy it with 'skein context create --from ${name} NEW', or use docker`,
    );
  store.save(await withFlags(before, spelledOut(flags)));
  context.print(name);
}

async function remove(
  context: Context,
  global: GlobalFlags,
  names: readonly string[],
  force: boolean,
): Promise<void> {
  const store = storeOf();
  const current = await currentContextName(global, env());
  await forEachName(context, names, async (name) => {
    if (name === DEFAULT_CONTEXT)
      throw new InvalidArgumentError("the context default is the socket of this host: it cannot be removed");
    const found = store.find(name);
    if (found === undefined) {
      if (force) return undefined;
      throw new NotFoundError(`context ${JSON.stringify(name)} does not exist: see 'skein context ls'`);
    }
    if (found.from === "docker")
      throw new InvalidArgumentError(
        `context ${name} is docker's: remove it with 'docker context rm ${name}'`,
      );
    if (name === current && !force)
      throw new FailedPreconditionError(
        `context ${name} is in use: choose another with 'skein context use', or give --force`,
      );
    if (store.current() === name) store.use(undefined);
    store.remove(name);
    return name;
  });
}

/** As the API would tell it; keys and certificates are named, never shown. */
function inspected(name: string): Row {
  const found =
    name === DEFAULT_CONTEXT ? { ...emptyContext(name), from: "skein" as const } : storeOf().get(name);
  const files = TLS_FILES.filter((kind) => found.tls[kind] !== undefined).map((kind) => `${kind}.pem`);
  return {
    Name: found.name,
    Metadata: { Description: found.description },
    Endpoints: { docker: { Host: found.host, SkipTLSVerify: found.skipVerify } },
    TLSMaterial: files.length === 0 ? {} : { docker: files },
    From: found.from,
  };
}

export function addContextCommands(program: Command, context: Context): void {
  const group = program
    .command("context")
    .description("Manage contexts: names for swarms, here and elsewhere");
  const global = (): GlobalFlags => program.opts<GlobalFlags>();
  addEndpointFlags(
    group.command("create").description("Create a context").argument("<name>", "name of the context"),
  )
    .option("--from <context>", "begin with a copy of that one; docker's contexts, too")
    .option("--check", "ask the daemon first whether it is there")
    .action((name: string, flags: EndpointFlags & { from?: string; check?: boolean }) =>
      create(context, name, flags),
    );
  group
    .command("ls")
    .alias("list")
    .description("List contexts, docker's among them")
    .option("--format <template>", "a template, table TEMPLATE, or json")
    .option("-q, --quiet", "names alone")
    .action((flags: { format?: string; quiet?: boolean }) => list(context, global(), flags));
  group
    .command("use")
    .description("Make a context the one that commands use when nothing else is said")
    .argument("<context>", "name; default: the daemon of this host")
    .action((name: string) => use(context, global(), name));
  group
    .command("show")
    .description("Print the name of the context in use")
    .action(async () => context.print(await currentContextName(global(), env())));
  group
    .command("inspect")
    .description("Show everything about contexts, but for their keys")
    .argument("[context...]", "names (default: the one in use)")
    .option("-f, --format <template>", "a template")
    .action(async (names: string[], flags: { format?: string }) => {
      const wanted = names.length > 0 ? names : [await currentContextName(global(), env())];
      await printInspect(context, wanted, flags, async (name) => inspected(name));
    });
  addEndpointFlags(
    group.command("update").description("Change a context").argument("<context>", "name"),
  ).action((name: string, flags: EndpointFlags) => update(context, name, flags));
  group
    .command("rm")
    .alias("remove")
    .description("Remove contexts")
    .argument("<context...>", "names")
    .option("-f, --force", "also the one in use; one that does not exist is no failure")
    .action((names: string[], flags: { force?: boolean }) =>
      remove(context, global(), names, flags.force === true),
    );
  group
    .command("export")
    .description("Write a context with its keys into an archive that skein and docker import")
    .argument("<context>", "name")
    .argument("[file]", "the archive, or - for standard output (default NAME.dockercontext)")
    .action(async (name: string, file: string | undefined) => {
      const { exportContext } = await import("../connection/context-archive.js");
      const written = await exportContext(storeOf().get(name), file ?? `${name}.dockercontext`);
      if (written !== "-")
        context.note(`Written file ${JSON.stringify(written)}: it holds the context's keys`);
    });
  group
    .command("import")
    .description("Take a context from an archive of skein or docker")
    .argument("<name>", "name of the context here")
    .argument("<file>", "the archive, or - for standard input")
    .action(async (name: string, file: string) => {
      checkContextName(name);
      const store = storeOf();
      if (store.find(name)?.from === "skein")
        throw new InvalidArgumentError(`context ${name} is there already: remove it, or take another name`);
      const { importContext } = await import("../connection/context-archive.js");
      store.save({ ...(await importContext(await readInput(file))), name });
      context.print(name);
      context.note(`Successfully imported context "${name}"`);
    });
}
