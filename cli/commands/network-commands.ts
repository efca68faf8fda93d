/**
 * `skein network …`. Edge: to the API.
 */
import { BlockList, isIP } from "node:net";
import type { Command } from "commander";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type Context, fetchRow, fetchRows, filtersQuery, forEachName, textOf } from "../context.js";
import { printList } from "../output/print-list.js";
import type { Row } from "../output/table.js";
import { labelsText, shortId } from "../output/words.js";
import type { Json } from "../service/flag-values.js";
import { listOption } from "../service/service-flags.js";
import { keyValues } from "../units.js";
import { printInspect } from "./inspect.js";
import { addNetworkAttachCommands } from "./network-attach-commands.js";

const COLUMNS = [
  { header: "NETWORK ID", field: "ID" },
  { header: "NAME", field: "Name" },
  { header: "DRIVER", field: "Driver" },
  { header: "SCOPE", field: "Scope" },
];

export interface NetworkFlags {
  readonly driver?: string;
  readonly attachable?: boolean;
  readonly ingress?: boolean;
  readonly internal?: boolean;
  readonly ipv4?: boolean | string;
  readonly ipv6?: boolean;
  readonly configOnly?: boolean;
  readonly configFrom?: string;
  readonly scope?: string;
  readonly subnet?: readonly string[];
  readonly ipRange?: readonly string[];
  readonly gateway?: readonly string[];
  readonly auxAddress?: readonly string[];
  readonly ipamDriver?: string;
  readonly ipamOpt?: readonly string[];
  readonly opt?: readonly string[];
  readonly label?: readonly string[];
}

/** Whether an address, or the first of a range, lies in a subnet. What is neither lies in none. */
export function inSubnet(address: string, subnet: string): boolean {
  const [bare = ""] = address.split("/");
  const [base = "", length = ""] = subnet.split("/");
  const family = isIP(bare);
  if (family === 0 || isIP(base) !== family || !/^\d{1,3}$/.test(length)) return false;
  if (Number(length) > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  const word = family === 4 ? "ipv4" : "ipv6";
  list.addSubnet(base, Number(length), word);
  return list.check(bare, word);
}

/**
 * One IPAM entry per subnet with the range, gateway and reserved addresses that lie in it.
 * @throws {InvalidArgumentError} one that lies in none.
 */
export function ipamConfigs(flags: NetworkFlags): Json[] {
  const subnets = flags.subnet ?? [];
  const pick = (
    values: readonly string[],
    flag: string,
    address: (value: string) => string,
  ): Map<string, string[]> => {
    const bySubnet = new Map<string, string[]>();
    for (const value of values) {
      const subnet = subnets.find((each) => inSubnet(address(value), each));
      if (subnet === undefined) {
        const given = subnets.length === 0 ? ": --subnet is missing" : ` (${subnets.join(", ")})`;
        throw new InvalidArgumentError(`${flag} ${value} is in none of the given subnets${given}`);
      }
      bySubnet.set(subnet, [...(bySubnet.get(subnet) ?? []), value]);
    }
    return bySubnet;
  };
  const ranges = pick(flags.ipRange ?? [], "--ip-range", (value) => value);
  const gateways = pick(flags.gateway ?? [], "--gateway", (value) => value);
  const reserved = pick(flags.auxAddress ?? [], "--aux-address", (value) => value.split("=")[1] ?? "");
  return subnets.map((subnet) => {
    const config: Json = { Subnet: subnet };
    for (const [key, values] of [
      ["IPRange", ranges.get(subnet)],
      ["Gateway", gateways.get(subnet)],
    ] as const) {
      if ((values?.length ?? 0) > 1)
        throw new InvalidArgumentError(`subnet ${subnet} can have one ${key}, got ${values?.join(", ")}`);
      if (values?.[0] !== undefined) config[key] = values[0];
    }
    const auxiliary = reserved.get(subnet);
    if (auxiliary !== undefined) config["AuxiliaryAddresses"] = keyValues(auxiliary);
    return config;
  });
}

export function networkBody(name: string, flags: NetworkFlags): Json {
  const configs = ipamConfigs(flags);
  return {
    Name: name,
    Driver: flags.driver ?? (flags.configOnly === true ? "" : "overlay"),
    Scope: flags.scope ?? "",
    Internal: flags.internal === true,
    Attachable: flags.attachable === true,
    Ingress: flags.ingress === true,
    ...(flags.ipv4 === undefined ? {} : { EnableIPv4: yesOrNo("--ipv4", flags.ipv4) }),
    EnableIPv6: flags.ipv6 === true,
    ConfigOnly: flags.configOnly === true,
    ...(flags.configFrom === undefined ? {} : { ConfigFrom: { Network: flags.configFrom } }),
    IPAM: { Driver: flags.ipamDriver ?? "default", Options: keyValues(flags.ipamOpt ?? []), Config: configs },
    Options: keyValues(flags.opt ?? []),
    Labels: keyValues(flags.label ?? []),
  };
}

/** @throws {InvalidArgumentError} */
function yesOrNo(flag: string, value: boolean | string): boolean {
  if (value === true || value === "true" || value === "1") return true;
  if (value === false || value === "false" || value === "0") return false;
  throw new InvalidArgumentError(`${flag} must be true or false, got "${value}"`);
}

export interface NetworkUpdateFlags {
  readonly subnetAdd?: readonly string[];
  readonly ipRange?: readonly string[];
  readonly gateway?: readonly string[];
  readonly auxAddress?: readonly string[];
  readonly labelAdd?: readonly string[];
  readonly labelRm?: readonly string[];
}

/** @throws {InvalidArgumentError} nothing to change. */
export function networkUpdateBody(flags: NetworkUpdateFlags): Json {
  const subnets = ipamConfigs({ ...flags, subnet: flags.subnetAdd ?? [] });
  const labels = [...(flags.labelAdd ?? []), ...(flags.labelRm ?? [])];
  if (subnets.length + labels.length === 0)
    throw new InvalidArgumentError("nothing to change: give --subnet-add, --label-add or --label-rm");
  return {
    Subnets: subnets,
    LabelsAdd: keyValues(flags.labelAdd ?? []),
    LabelsRemove: [...(flags.labelRm ?? [])],
  };
}

function addUpdate(network: Command, context: Context): void {
  network
    .command("update")
    .description("Give a network of the swarm more subnets, or other labels, while it is used")
    .argument("<network>", "id or name")
    .addOption(listOption("--subnet-add <cidr>", "another subnet, used at once"))
    .addOption(listOption("--ip-range <cidr>", "part of an added subnet that addresses are handed out from"))
    .addOption(listOption("--gateway <ip>", "gateway of an added subnet"))
    .addOption(listOption("--aux-address <name=ip>", "address of an added subnet to leave alone"))
    .addOption(listOption("--label-add <key=value>", "add or change a label"))
    .addOption(listOption("--label-rm <key>", "remove a label"))
    .action(async (name: string, flags: NetworkUpdateFlags) => {
      const path = `/networks/${encodeURIComponent(name)}/update`;
      await context.client().call("POST", path, { body: networkUpdateBody(flags) });
      context.print(name);
    });
}

function addCreate(network: Command, context: Context): void {
  network
    .command("create")
    .description("Create a network of the swarm")
    .argument("<name>", "name of the network")
    .option("-d, --driver <driver>", 'driver (default "overlay")')
    .option("--attachable", "plain containers may join too")
    .option("--ingress", "make it the network of the routing mesh (one per swarm)")
    .option("--internal", "no way out of it")
    .option("--ipv4 [yes]", "hand out IPv4 addresses (default true)")
    .option("--ipv6", "hand out IPv6 addresses too")
    .option("--config-only", "settings for other networks, kept on this node")
    .option("--config-from <network>", "take the settings of such a network")
    .option("--scope <scope>", "swarm")
    .addOption(listOption("--subnet <cidr>", "subnet; by default one is cut from the swarm's pool"))
    .addOption(listOption("--ip-range <cidr>", "part of a subnet that addresses are handed out from"))
    .addOption(listOption("--gateway <ip>", "gateway of a subnet"))
    .addOption(listOption("--aux-address <name=ip>", "address to leave alone"))
    .option("--ipam-driver <driver>", "address manager", "default")
    .addOption(listOption("--ipam-opt <key=value>", "option of the address manager"))
    .addOption(
      listOption(
        "-o, --opt <key=value>",
        "option of the driver: encrypted, com.docker.network.driver.mtu=N, " +
          "com.docker.network.driver.overlay.vxlanid_list=N",
      ),
    )
    .addOption(listOption("--label <key=value>", "label of the network"))
    .action(async (name: string, flags: NetworkFlags) => {
      const answer = (await context
        .client()
        .call("POST", "/networks/create", { body: networkBody(name, flags) })) as Row; // an object
      if (textOf(answer["Warning"]) !== "") context.note(`Warning: ${textOf(answer["Warning"])}`);
      context.print(textOf(answer["Id"]));
    });
}

/** With the fields that templates of docker's name. */
export function networkRow(network: Row, noTrunc: boolean): Row {
  const id = textOf(network["Id"]);
  return {
    ID: noTrunc ? id : shortId(id),
    Name: network["Name"],
    Driver: network["Driver"],
    Scope: network["Scope"],
    IPv4: network["EnableIPv4"] !== false,
    IPv6: network["EnableIPv6"] === true,
    Internal: network["Internal"] === true,
    Attachable: network["Attachable"] === true,
    Ingress: network["Ingress"] === true,
    CreatedAt: network["Created"],
    Labels: labelsText(network["Labels"]),
  };
}

export function addNetworkCommands(program: Command, context: Context): void {
  const network = program.command("network").description("Manage networks");
  addCreate(network, context);
  addUpdate(network, context);
  addNetworkAttachCommands(network, context);
  network
    .command("ls")
    .alias("list")
    .description("List networks")
    .addOption(listOption("-f, --filter <key=value>", "driver, id, label, name, scope, type"))
    .option("--format <template>", "a template, table TEMPLATE, or json")
    .option("--no-trunc", "whole ids")
    .option("-q, --quiet", "ids alone")
    .action(async (flags: { filter?: string[]; format?: string; trunc?: boolean; quiet?: boolean }) => {
      const networks = await fetchRows(context, "/networks", filtersQuery(flags.filter));
      const rows = networks
        .map((each) => networkRow(each, flags.trunc === false))
        .sort((a, b) => textOf(a["Name"]).localeCompare(textOf(b["Name"]), "en", { numeric: true }));
      printList(context, COLUMNS, rows, { format: flags.format, quiet: flags.quiet, idField: "ID" });
    });
  network
    .command("inspect")
    .description("Show everything about networks")
    .argument("<network...>", "ids or names")
    .option("-f, --format <template>", "a template")
    .option("-v, --verbose", "with what the whole swarm knows of it")
    .action((names: string[], flags: { format?: string; verbose?: boolean }) =>
      printInspect(context, names, flags, (name) =>
        fetchRow(context, `/networks/${encodeURIComponent(name)}${flags.verbose ? "?verbose=true" : ""}`),
      ),
    );
  network
    .command("rm")
    .alias("remove")
    .description("Remove networks")
    .argument("<network...>", "ids or names")
    .option("-f, --force", "a network that does not exist is no failure")
    .action((names: string[], flags: { force?: boolean }) =>
      forEachName(context, names, async (name) => {
        try {
          await context.client().call("DELETE", `/networks/${encodeURIComponent(name)}`);
        } catch (error) {
          // an ApiError has a status
          if (flags.force === true && (error as { status?: unknown }).status === 404) return undefined;
          throw error;
        }
        return name;
      }),
    );
}
