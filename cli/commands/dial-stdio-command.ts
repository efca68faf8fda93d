/**
 * `skein system dial-stdio`: a connection to the daemon over standard input and output, for the far side
 * of an ssh:// host. Edge: to sockets and the process.
 * Ends when the daemon's side has ended; the end of standard input is passed on.
 */
import { connect, type Socket } from "node:net";
import type { Command } from "commander";
import { InvalidArgumentError, UnavailableError } from "../../base/errors/errors.js";
import { addressOf, connectionTrouble } from "../connection/endpoint.js";
import { type GlobalFlags, resolveEndpoint } from "../connection/resolve-endpoint.js";

async function dial(flags: GlobalFlags): Promise<void> {
  const endpoint = await resolveEndpoint(flags, process.env);
  const address = addressOf(endpoint.host, endpoint.tls !== undefined);
  if (address.kind === "ssh" || (address.kind === "tcp" && address.secure))
    throw new InvalidArgumentError(
      `dial-stdio reaches a daemon by unix:// or plain tcp://, not ${endpoint.host} (named by ${endpoint.source})`,
    );
  const socket: Socket =
    address.kind === "unix"
      ? connect({ path: address.path, allowHalfOpen: true })
      : connect({ host: address.host, port: address.port, allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", (error: NodeJS.ErrnoException) => {
      const trouble = connectionTrouble(endpoint, error.code ?? "");
      reject(trouble === undefined ? error : new UnavailableError(trouble, { cause: error }));
    });
    socket.once("close", () => resolve());
    process.stdin.pipe(socket);
    socket.pipe(process.stdout);
    socket.once("end", () => {
      // The daemon says no more: what is still typed has nobody to read it.
      process.stdin.destroy();
      socket.end();
    });
  });
}

export function addDialCommands(program: Command): void {
  program
    .command("system")
    .description("Connect other commands with the daemon")
    .command("dial-stdio")
    .description("Connect standard input and output with the daemon: the far side of an ssh:// host")
    .action(() => dial(program.opts<GlobalFlags>()));
}
