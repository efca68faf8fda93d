/**
 * The options that say where a node of a swarm is found, the same for init, join and restore. Pure.
 */
import { type Command, Option } from "commander";

export function withAddressOptions(command: Command): Command {
  return command
    .option(
      "--advertise-addr <address>",
      "IP or interface, with or without port, other nodes use for this node",
    )
    .option("--listen-addr <address>", "where this node's manager listens", "0.0.0.0:2377")
    .option("--data-path-addr <address>", "IP or interface that carries the overlay's traffic")
    .addOption(
      new Option("--availability <availability>", "first availability of this node")
        .choices(["active", "pause", "drain"])
        .default("active"),
    );
}
