/**
 * A tunnel to the API of the node where a container is, asked for at the manager beside this daemon.
 * Edge: to @grpc/grpc-js. Invariant: tunnels have a connection of their own, so that what they carry does not
 * delay what is asked of the manager.
 */
import type { Duplex } from "node:stream";
import { Channel } from "@grpc/grpc-js";
import { NotFoundError, UnavailableError } from "../../base/errors/errors.js";
import { FrameStream } from "../../base/grpc/frame-stream.js";
import { callUnary } from "../../base/grpc/grpc-call.js";
import { fromGrpcError } from "../../base/grpc/grpc-errors.js";
import { type ContainerPlace, ReachClient, TunnelFrame } from "../../proto/gen/skein/v1/reach.js";
import type { ManagerEndpoint } from "../ports.js";

const FIND_TIMEOUT_MS = 5_000;

export class GrpcTunnels {
  #for: ManagerEndpoint | undefined;
  #channel: Channel | undefined;

  /** @returns undefined when no task is meant. @throws {FailedPreconditionError} it has no container, and others. */
  async find(endpoint: ManagerEndpoint, name: string): Promise<ContainerPlace | undefined> {
    const { address, credentials, channel } = endpoint;
    const client = new ReachClient(address, credentials, { channelOverride: channel });
    try {
      return await callUnary(client.findContainer.bind(client), { name }, { timeoutMs: FIND_TIMEOUT_MS });
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  /** @throws {UnavailableError} why the node cannot be reached; {ResourceExhaustedError}. */
  open(endpoint: ManagerEndpoint, place: ContainerPlace, signal: AbortSignal): Promise<Duplex> {
    if (this.#for !== endpoint) {
      this.close();
      this.#for = endpoint;
    }
    const { address, credentials } = endpoint;
    this.#channel ??= new Channel(address, credentials, {
      "grpc.initial_reconnect_backoff_ms": 50,
      "grpc.max_reconnect_backoff_ms": 500,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
    });
    const client = new ReachClient(address, credentials, { channelOverride: this.#channel });
    const call = client.openTunnel();
    return new Promise((resolve, reject) => {
      const over = (error: Error): void => {
        signal.removeEventListener("abort", onAbort);
        reject(error);
      };
      const onAbort = (): void => call.cancel();
      const onError = (error: Error): void => over(fromGrpcError(error));
      signal.addEventListener("abort", onAbort, { once: true });
      call.once("error", onError);
      call.once("end", () => over(new UnavailableError("the manager ended the tunnel")));
      call.once("data", () => {
        call.pause();
        signal.removeEventListener("abort", onAbort);
        const frame = (part: Partial<TunnelFrame>): TunnelFrame => TunnelFrame.create(part);
        const explain = (error: Error): Error => fromGrpcError(error);
        resolve(new FrameStream({ call, frame, explain }));
      });
      call.write(TunnelFrame.create({ target: place }));
      if (signal.aborted) onAbort();
    });
  }

  close(): void {
    this.#channel?.close();
    this.#channel = undefined;
    this.#for = undefined;
  }
}
