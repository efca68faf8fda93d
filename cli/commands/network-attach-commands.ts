/**
 * `skein network connect|disconnect|prune`: containers and networks of the node that answers. Edge: to the
 * API.
 */
import type { Command } from "commander";
import { type Context, filtersQuery, textOf } from "../context.js";
import { confirmOr } from "../output/process-confirm.js";
import type { Row } from "../output/table.js";
import { listOption } from "../service/service-flags.js";
import { keyValues, parseInteger } from "../units.js";

export interface ConnectFlags {
  readonly alias?: readonly string[];
  readonly driverOpt?: readonly string[];
  readonly gwPriority?: string;
  readonly ip?: string;
  readonly ip6?: string;
  readonly link?: readonly string[];
  readonly linkLocalIp?: readonly string[];
}

/** @throws {InvalidArgumentError} a priority that is no number. */
export function connectBody(container: string, flags: ConnectFlags): Row {
  const { alias = [], driverOpt = [], link = [], linkLocalIp = [], ip, ip6, gwPriority } = flags;
  const addresses = {
    ...(ip === undefined ? {} : { IPv4Address: ip }),
    ...(ip6 === undefined ? {} : { IPv6Address: ip6 }),
    ...(linkLocalIp.length === 0 ? {} : { LinkLocalIPs: [...linkLocalIp] }),
  };
  return {
    Container: container,
    EndpointConfig: {
      Aliases: [...alias],
      Links: [...link],
      DriverOpts: keyValues(driverOpt),
      GwPriority: gwPriority === undefined ? 0 : parseInteger(gwPriority, "--gw-priority", -(2 ** 31)),
      ...(Object.keys(addresses).length === 0 ? {} : { IPAMConfig: addresses }),
    },
  };
}

const pathTo = (network: string, verb: string): string => `/networks/${encodeURIComponent(network)}/${verb}`;

export function addNetworkAttachCommands(network: Command, context: Context): void {
  network
    .command("connect")
    .description("Connect a container with a network")
    .argument("<network>", "id or name")
    .argument("<container>", "id or name")
    .addOption(listOption("--alias <name>", "another name of the container in that network"))
    .addOption(listOption("--driver-opt <key=value>", "option of the driver"))
    .option("--gw-priority <n>", "the network with the highest one is the way out (default 0)")
    .option("--ip <ip>", "IPv4 address of the container, such as 172.30.100.104")
    .option("--ip6 <ip>", "IPv6 address of the container, such as 2001:db8::33")
    .addOption(listOption("--link <container[:name]>", "another container, by a name of its own"))
    .addOption(listOption("--link-local-ip <ip>", "link-local address of the container"))
    .action(async (name: string, container: string, flags: ConnectFlags) => {
      await context.client().call("POST", pathTo(name, "connect"), { body: connectBody(container, flags) });
    });
  network
    .command("disconnect")
    .description("Take a container off a network")
    .argument("<network>", "id or name")
    .argument("<container>", "id or name")
    .option("-f, --force", "also when the container, or its network, is in a bad state")
    .action(async (name: string, container: string, flags: { force?: boolean }) => {
      const body = { Container: container, Force: flags.force === true };
      await context.client().call("POST", pathTo(name, "disconnect"), { body });
    });
  network
    .command("prune")
    .description("Remove all networks of this node that nothing uses")
    .addOption(listOption("--filter <key=value>", "until, label"))
    .option("-f, --force", "do not ask")
    .action((flags: { filter?: string[]; force?: boolean }) => prune(context, flags));
}

async function prune(context: Context, flags: { filter?: string[]; force?: boolean }): Promise<void> {
  const question = "All networks that no container uses are removed. Are you sure?";
  if (flags.force !== true && !(await confirmOr("--force", question))) return;
  const answer = await context
    .client()
    .call("POST", "/networks/prune", { query: filtersQuery(flags.filter) });
  const removed = (answer as Row | undefined)?.["NetworksDeleted"]; // the API answers with an object
  if (!Array.isArray(removed) || removed.length === 0) return;
  context.print(["Deleted Networks:", ...removed.map(textOf)].join("\n"));
}
