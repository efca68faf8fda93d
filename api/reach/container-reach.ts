/**
 * Calls about containers that are not here, answered by the node where they are.
 * Pure over the tunnels. Invariants: what is here is answered here; an exec is asked for where it was made;
 * who is not a manager reaches nobody.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { FailedPreconditionError, UnavailableError } from "../../base/errors/errors.js";
import type { ContainerPlace } from "../../proto/gen/skein/v1/reach.js";
import type { UpgradeParts } from "../http-hijack.js";
import type { EngineBackend } from "../ports.js";
import { execIdIn, goesThroughTunnels, type NamedCall, withContainerId } from "./container-calls.js";
import { GrpcTunnels } from "./grpc-tunnel.js";
import { forward } from "./http-forward.js";

/** Execs whose place is remembered; the one asked for longest ago is forgotten. */
export const EXECS_REMEMBERED_MAX = 1_024;

/** For this node's manager while it starts: a name that nobody has is not to be waited for much longer. */
const START_WAIT_MS = 2_000;

export interface FarRequest {
  readonly named: NamedCall;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly upgrade: UpgradeParts | undefined;
}

/** What became of it: answered; to be answered here, maybe under another name; or nobody there knows it. */
export type FarAnswer = { readonly kind: "answered" } | { readonly kind: "here"; readonly target?: string };

export class ContainerReach {
  readonly #backend: Pick<EngineBackend, "managerReached" | "swarm">;
  readonly #tunnels = new GrpcTunnels();
  readonly #execs = new Map<string, ContainerPlace>();

  constructor(backend: Pick<EngineBackend, "managerReached" | "swarm">) {
    this.#backend = backend;
  }

  /** @throws {UnavailableError} the node cannot be reached, and why; {FailedPreconditionError} not from here. */
  async serve(far: FarRequest): Promise<FarAnswer> {
    const { named, request } = far;
    const target = request.url ?? "/";
    const endpoint = await this.#backend.managerReached(START_WAIT_MS);
    if (endpoint === undefined) return { kind: "here" };
    const place =
      named.kind === "exec" ? this.#execs.get(named.id) : await this.#tunnels.find(endpoint, named.name);
    if (place === undefined) return { kind: "here" };
    if (named.kind === "exec") this.#remember(named.id, place);
    if (place.nodeId === this.#backend.swarm.info().nodeId)
      return { kind: "here", target: withContainerId(target, place.containerId) };
    this.#assertServed(request.method ?? "GET", named, place);
    await this.#pass(far, place, target);
    return { kind: "answered" };
  }

  close(): void {
    this.#tunnels.close();
  }

  async #pass(far: FarRequest, place: ContainerPlace, target: string): Promise<void> {
    const { named, request, response, upgrade } = far;
    const client = upgrade?.socket ?? response;
    const abort = new AbortController();
    const gone = (): void => abort.abort();
    client.once("close", gone);
    const endpoint = await this.#backend.managerReached(START_WAIT_MS);
    if (endpoint === undefined) throw new UnavailableError("this node's manager does not serve any more");
    if (client.destroyed) throw new UnavailableError("the client has gone"); // before anybody listened
    const tunnel = await this.#tunnels.open(endpoint, place, abort.signal);
    client.off("close", gone);
    const isExecCreation = named.kind === "container" && named.call === "exec";
    try {
      await forward({
        ...{ request, response, upgrade, tunnel },
        target: named.kind === "container" ? withContainerId(target, place.containerId) : target,
        ...(isExecCreation ? { onAnswer: (status, body) => this.#learn(status, body, place) } : {}),
      });
    } catch (error) {
      tunnel.destroy();
      throw error;
    }
  }

  #assertServed(method: string, named: NamedCall, { taskName, hostname }: ContainerPlace): void {
    if (goesThroughTunnels(method, named)) return;
    const what = named.call === "" ? "removed" : `asked for ${JSON.stringify(named.call)}`;
    throw new FailedPreconditionError(
      `the container of task ${taskName} is on node ${hostname}: it can only be ${what} there`,
    );
  }

  #learn(status: number, body: Buffer, place: ContainerPlace): void {
    const id = status === 201 ? execIdIn(body) : undefined;
    // a node cannot take over what another one has made
    if (id !== undefined && (this.#execs.get(id) ?? place).nodeId === place.nodeId) this.#remember(id, place);
  }

  #remember(id: string, place: ContainerPlace): void {
    this.#execs.delete(id);
    this.#execs.set(id, place);
    const [oldest] = this.#execs.keys();
    if (this.#execs.size > EXECS_REMEMBERED_MAX && oldest !== undefined) this.#execs.delete(oldest);
  }
}
