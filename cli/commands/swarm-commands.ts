/**
 * `skein swarm …`. Edge: to the API.
 */

import type { Command } from "commander";
import { type Context, fetchRow, inner, textOf } from "../context.js";
import { recoveryLines } from "../output/recovery-lines.js";
import { listOption } from "../service/service-flags.js";
import { addSpecFlags, type SpecFlags, specOf } from "../service/swarm-spec.js";
import { keyValues, parseInteger } from "../units.js";
import { withAddressOptions } from "./swarm-address-options.js";
import { addSwarmBackupCommands } from "./swarm-backup-commands.js";
import { addSwarmCaCommands } from "./swarm-ca-commands.js";
import { addSwarmLockCommands, printUnlockKey } from "./swarm-lock-commands.js";
import { addSwarmNetworkKeyCommand } from "./swarm-network-key-command.js";

function isAutolocked(spec: Record<string, unknown>): boolean {
  return inner(spec, "EncryptionConfig")["AutoLockManagers"] === true;
}

async function tokenLine(
  context: Context,
  role: "worker" | "manager",
): Promise<{ token: string; command: string }> {
  const swarm = await fetchRow(context, "/swarm");
  const info = await fetchRow(context, "/info");
  const token = textOf(inner(swarm, "JoinTokens")[role === "worker" ? "Worker" : "Manager"]);
  const managers = inner(info, "Swarm")["RemoteManagers"];
  const self = textOf(inner(info, "Swarm")["NodeID"]);
  const list = Array.isArray(managers) ? (managers as Record<string, unknown>[]) : [];
  const address = textOf((list.find((manager) => manager["NodeID"] === self) ?? list[0])?.["Addr"]);
  return { token, command: `    skein swarm join --token ${token} ${address}` };
}

export function addSwarmCommands(program: Command, context: Context): void {
  const swarm = program.command("swarm").description("Manage the swarm");
  addSpecFlags(
    withAddressOptions(swarm.command("init").description("Make this host the first manager of a new swarm")),
  )
    .option("--data-path-port <port>", "UDP port of the overlay's traffic (default 4789)")
    .addOption(
      listOption("--default-addr-pool <cidr>", "range overlay subnets are cut from (default 10.0.0.0/8)"),
    )
    .option("--default-addr-pool-mask-length <n>", "size of each overlay subnet (default 24)")
    .option("--autolock", "managers need the unlock key after a restart")
    .option("--force-new-cluster", "the other managers are lost for good: go on with this one alone")
    .action(async (flags: Record<string, string | string[] | boolean | undefined> & SpecFlags) => {
      const nodeId = await context.client().call("POST", "/swarm/init", {
        body: {
          ListenAddr: flags["listenAddr"],
          AdvertiseAddr: flags["advertiseAddr"] ?? "",
          DataPathAddr: flags["dataPathAddr"] ?? "",
          DataPathPort:
            flags["dataPathPort"] === undefined
              ? 0
              : parseInteger(String(flags["dataPathPort"]), "--data-path-port", 1024),
          DefaultAddrPool: flags["defaultAddrPool"] ?? [],
          SubnetSize:
            flags["defaultAddrPoolMaskLength"] === undefined
              ? 0
              : parseInteger(
                  String(flags["defaultAddrPoolMaskLength"]),
                  "--default-addr-pool-mask-length",
                  8,
                ),
          ForceNewCluster: flags["forceNewCluster"] === true,
          AutoLockManagers: flags["autolock"] === true,
          Availability: flags["availability"],
          Spec: specOf(flags),
        },
      });
      if (flags["forceNewCluster"] === true) {
        const account = await fetchRow(context, "/skein/v1/swarm/recovery");
        for (const line of recoveryLines(account)) context.print(line);
        return;
      }
      const { command } = await tokenLine(context, "worker");
      context.print(`Swarm initialized: current node (${textOf(nodeId)}) is now a manager.\n`);
      context.print(`To add a worker to this swarm, run the following command:\n\n${command}\n`);
      context.print(
        "To add a manager to this swarm, run 'skein swarm join-token manager' and follow the instructions.",
      );
      if (flags["autolock"] === true) {
        context.print("");
        await printUnlockKey(context);
      }
    });

  withAddressOptions(
    swarm
      .command("join")
      .description("Join a swarm as a node; the token decides whether as worker or manager"),
  )
    .argument("<host:port>", "address of a manager")
    .requiredOption("--token <token>", "join token")
    .addOption(listOption("-l, --label <key=value>", "label of the new node"))
    .action(async (remote: string, flags: Record<string, string | undefined> & { label?: string[] }) => {
      await context.client().call("POST", "/swarm/join", {
        body: {
          ListenAddr: flags["listenAddr"],
          AdvertiseAddr: flags["advertiseAddr"] ?? "",
          DataPathAddr: flags["dataPathAddr"] ?? "",
          RemoteAddrs: [remote],
          JoinToken: flags["token"],
          Availability: flags["availability"],
          Labels: keyValues(flags.label ?? []),
        },
      });
      const info = await fetchRow(context, "/info");
      context.print(
        `This node joined a swarm as a ${inner(info, "Swarm")["ControlAvailable"] === true ? "manager" : "worker"}.`,
      );
    });

  swarm
    .command("join-token")
    .description("Show, or change, the token for joining")
    .addArgument(program.createArgument("<role>", "worker or manager").choices(["worker", "manager"]))
    .option("--rotate", "make a new token; the old one stops working")
    .option("-q, --quiet", "print the token alone")
    .action(async (role: "worker" | "manager", flags: { rotate?: boolean; quiet?: boolean }) => {
      if (flags.rotate) {
        const current = await fetchRow(context, "/swarm");
        const query = {
          version: textOf(inner(current, "Version")["Index"]),
          [role === "worker" ? "rotateWorkerToken" : "rotateManagerToken"]: "true",
        };
        await context.client().call("POST", "/swarm/update", { query, body: current["Spec"] });
        if (!flags.quiet) context.print(`Successfully rotated ${role} join token.\n`);
      }
      const { token, command } = await tokenLine(context, role);
      if (flags.quiet) context.print(token);
      else context.print(`To add a ${role} to this swarm, run the following command:\n\n${command}\n`);
    });

  swarm
    .command("leave")
    .description("Leave the swarm")
    .option("-f, --force", "leave although this node is a manager, or the swarm would be lost")
    .action(async (flags: { force?: boolean }) => {
      await context.client().call("POST", "/swarm/leave", { query: { force: flags.force ? "1" : "0" } });
      context.print("Node left the swarm.");
    });

  addSpecFlags(swarm.command("update").description("Change settings of the swarm"))
    .option("--autolock", "managers need the unlock key after a restart; --autolock=false: they do not")
    .action(async (flags: SpecFlags) => {
      const current = await fetchRow(context, "/swarm");
      const before = inner(current, "Spec");
      const spec = specOf(flags, before);
      await context.client().call("POST", "/swarm/update", {
        query: { version: textOf(inner(current, "Version")["Index"]) },
        body: spec,
      });
      context.print("Swarm updated.");
      if (isAutolocked(spec) && !isAutolocked(before)) {
        context.print("");
        await printUnlockKey(context);
      }
    });
  addSwarmCaCommands(swarm, context);
  addSwarmLockCommands(swarm, context);
  addSwarmNetworkKeyCommand(swarm, context);

  addSwarmBackupCommands(swarm, context);
}
