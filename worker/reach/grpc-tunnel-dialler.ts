/**
 * Dials back the tunnels that managers order, and hands each to the node's own API as a connection.
 * Edge: to @grpc/grpc-js. Orders are taken from managers alone: the agent dialled them itself and has seen
 * their certificates. What a tunnel may ask for, the API decides. Invariant: every order that is read is
 * answered, with a connection or with the reason for none.
 */
import type { Duplex } from "node:stream";
import { FrameStream } from "../../base/grpc/frame-stream.js";
import { fromGrpcError } from "../../base/grpc/grpc-errors.js";
import type { Logger } from "../../base/log/logger.js";
import { TunnelFrame, type TunnelsClient } from "../../proto/gen/skein/v1/reach.js";

/** Open at once at this node, of all managers together. */
export const TUNNELS_MAX = 128;

export interface TunnelDiallerComponents {
  /** Takes a connection of HTTP; undefined: this node serves none. */
  readonly serve: ((connection: Duplex) => void) | undefined;
  readonly log: Logger;
}

export class TunnelDialler {
  readonly #components: TunnelDiallerComponents;
  readonly #open = new Set<Duplex>();

  constructor(components: TunnelDiallerComponents) {
    this.#components = components;
  }

  /** @throws when the channel is closed already. */
  dial(tunnels: Pick<TunnelsClient, "serveTunnel">, tunnelId: string): void {
    const { serve, log } = this.#components;
    const call = tunnels.serveTunnel();
    const refusal =
      serve === undefined
        ? "this node serves no tunnels"
        : this.#open.size >= TUNNELS_MAX
          ? `${TUNNELS_MAX} tunnels are open there`
          : "";
    call.write(TunnelFrame.create({ tunnelId, error: refusal }));
    const connection = new FrameStream({
      call,
      frame: (part: Partial<TunnelFrame>) => TunnelFrame.create(part),
      explain: fromGrpcError,
    });
    connection.on("error", (error) =>
      log.debug("a tunnel broke", { tunnel: tunnelId, error: error.message }),
    );
    if (refusal !== "" || serve === undefined) {
      connection.end();
      connection.resume();
      return;
    }
    this.#open.add(connection);
    connection.once("close", () => this.#open.delete(connection));
    serve(connection);
  }

  close(): void {
    for (const connection of this.#open) connection.destroy();
  }
}
