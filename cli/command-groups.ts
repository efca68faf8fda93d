/**
 * Every top-level command, and the module that knows it. Pure (a table; modules are imported when asked for).
 */
import type { Command } from "commander";
import type { Context } from "./context.js";

export type AddCommands = (program: Command, context: Context) => void;

export interface CommandGroup {
  readonly heading: string;
  /** Names and descriptions of what the module adds: shown while the module is not loaded. */
  readonly commands: Readonly<Record<string, string>>;
  readonly load: () => Promise<AddCommands>;
}

const CLUSTER = "Cluster:";
const NODE = "This node:";
const HERE = "This command line:";

export const COMMAND_GROUPS: readonly CommandGroup[] = [
  {
    heading: CLUSTER,
    commands: { swarm: "Manage the swarm" },
    load: async () => (await import("./commands/swarm-commands.js")).addSwarmCommands,
  },
  {
    heading: CLUSTER,
    commands: { node: "Manage the nodes of the swarm" },
    load: async () => (await import("./commands/node-commands.js")).addNodeCommands,
  },
  {
    heading: CLUSTER,
    commands: { service: "Manage services" },
    load: async () => (await import("./commands/service-commands.js")).addServiceCommands,
  },
  {
    heading: CLUSTER,
    commands: { plan: "Show what the cluster would do; nothing is changed" },
    load: async () => (await import("./commands/plan-commands.js")).addPlanCommands,
  },
  {
    heading: CLUSTER,
    commands: { stack: "Manage stacks: the services, networks, secrets and configs of a compose file" },
    load: async () => (await import("./commands/stack-commands.js")).addStackCommands,
  },
  {
    heading: CLUSTER,
    commands: { secret: "Manage secrets" },
    load: async () => (await import("./commands/secret-commands.js")).addSecretCommands,
  },
  {
    heading: CLUSTER,
    commands: { config: "Manage configs" },
    load: async () => (await import("./commands/secret-commands.js")).addConfigCommands,
  },
  {
    heading: CLUSTER,
    commands: { network: "Manage networks" },
    load: async () => (await import("./commands/network-commands.js")).addNetworkCommands,
  },
  {
    heading: CLUSTER,
    commands: { net: "Look at the network of the swarm's nodes" },
    load: async () => (await import("./commands/net-commands.js")).addNetCommands,
  },
  {
    heading: NODE,
    commands: {
      images: "List images",
      pull: "Fetch an image from a registry",
      load: "Load images from a tar archive",
      import: "Make an image of a tar archive of a file system",
      tag: "Give an image another name",
      rmi: "Remove images",
    },
    load: async () => (await import("./commands/image-commands.js")).addImageCommands,
  },
  {
    heading: NODE,
    commands: { ps: "List containers", logs: "Show what a container wrote" },
    load: async () => (await import("./commands/container-commands.js")).addContainerCommands,
  },
  {
    heading: NODE,
    commands: {
      events: "Follow what happens in the swarm and on this node",
      info: "Show the state of this node and its swarm",
      version: "Show the versions of this command and of the daemon",
    },
    load: async () => (await import("./commands/system-commands.js")).addSystemCommands,
  },
  {
    heading: NODE,
    commands: { system: "Connect other commands with the daemon" },
    load: async () => (await import("./commands/dial-stdio-command.js")).addDialCommands,
  },
  {
    heading: HERE,
    commands: { context: "Manage contexts: names for swarms, here and elsewhere" },
    load: async () => (await import("./commands/context-commands.js")).addContextCommands,
  },
  {
    heading: HERE,
    commands: {
      completion: "Print the script that completes commands, flags and names of objects in a shell",
      man: "Write the manual pages of all commands into a folder",
    },
    load: async () => (await import("./commands/completion-commands.js")).addShellCommands,
  },
  {
    heading: NODE,
    commands: { debug: "Look inside, when something is wrong" },
    load: async () => (await import("./commands/debug-commands.js")).addDebugCommands,
  },
];

/** @returns undefined for an unknown name. */
export function groupOf(name: string | undefined): CommandGroup | undefined {
  return COMMAND_GROUPS.find((group) => name !== undefined && Object.hasOwn(group.commands, name));
}
