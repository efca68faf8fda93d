/**
 * `skein swarm network-key`: the key of encrypted networks; which generation it is, and a new one. Edge: to
 * the API. Invariant: the key itself is never shown; no command can ask for it.
 */
import type { Command } from "commander";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type Context, fetchRow, inner, textOf } from "../context.js";

async function rotate(context: Context): Promise<void> {
  const swarm = await fetchRow(context, "/swarm");
  const query = { version: textOf(inner(swarm, "Version")["Index"]), rotateNetworkKey: "true" };
  await context.client().call("POST", "/swarm/update", { query, body: swarm["Spec"] });
}

async function show(context: Context, flags: { rotate?: boolean }): Promise<void> {
  if (flags.rotate) await rotate(context);
  const key = inner(await fetchRow(context, "/swarm"), "Skein", "NetworkKey");
  const generation = textOf(key["Generation"]);
  if (generation === "")
    throw new InvalidArgumentError("there is no network key: no network of this swarm is encrypted");
  if (flags.rotate) context.print("Successfully rotated the network key: sessions under way go on.");
  context.print(`Generation ${generation}, made ${textOf(key["MadeAt"])}`);
}

export function addSwarmNetworkKeyCommand(swarm: Command, context: Context): void {
  swarm
    .command("network-key")
    .description("Show the generation of the key of encrypted networks, or make a new key")
    .option(
      "--rotate",
      "make a new key now, besides those of swarm update --network-key-period (default 12h)",
    )
    .action((flags: { rotate?: boolean }) => show(context, flags));
}
