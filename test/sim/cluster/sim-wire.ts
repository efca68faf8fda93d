/**
 * Streams and calls between simulated processes: the twin of gRPC in simulated time. Pure.
 * Invariants: what one end writes arrives whole, once and in order, or the stream breaks; a cut link holds
 * it back,
 * as TCP does; a process that dies on a machine that goes on breaks its streams, one whose machine stops is
 * silent.
 */
import { EventEmitter } from "node:events";
import { CancelledError, UnavailableError } from "../../../base/errors/errors.js";
import { toGrpcStatus } from "../../../base/grpc/grpc-errors.js";
import type { EventQueue } from "../event-queue.js";
import type { HostLife } from "../host-life.js";
import type { SimNetwork } from "../sim-network.js";

/** A process as the wire sees it. */
export interface WireHost {
  /** Number of its machine. */
  readonly slot: number;
  readonly life: HostLife;
  /** Its machine runs, so that the kernel answers for a process that is gone. */
  readonly hasPower: () => boolean;
}

export interface WireWorld {
  readonly queue: EventQueue;
  readonly network: SimNetwork;
}

/** What TCP waits before it sends again, in milliseconds. */
const RESEND_MS = 200;

type Item =
  | { readonly kind: "data"; readonly value: unknown }
  | { readonly kind: "open"; readonly serve: (end: WireEnd) => void }
  | { readonly kind: "end" | "error"; readonly error?: unknown };

/** One end of a stream, with what both the server's and the client's side of grpc-js have. */
export class WireEnd extends EventEmitter {
  readonly #world: WireWorld;
  readonly #host: WireHost;
  readonly #isServer: boolean;
  #peer: WireEnd | undefined;
  #lane: { readonly item: Item; atMs: number }[] = [];
  #isPumping = false;
  #isOver = false;

  constructor(world: WireWorld, host: WireHost, isServer: boolean) {
    super();
    this.#world = world;
    this.#host = host;
    this.#isServer = isServer;
    // A handler ends its call by emitting an error: the client hears of it.
    if (isServer) this.on("error", (error: Error) => this.#finish({ kind: "error", error }));
  }

  static pair(world: WireWorld, client: WireHost, server: WireHost): { client: WireEnd; server: WireEnd } {
    const ends = { client: new WireEnd(world, client, false), server: new WireEnd(world, server, true) };
    ends.client.#peer = ends.server;
    ends.server.#peer = ends.client;
    return ends;
  }

  /** The client's side asks for the call: what it writes comes after. */
  open(serve: (end: WireEnd) => void): void {
    this.#push({ kind: "open", serve });
  }

  getPeer(): string {
    const peer = this.#peer;
    return `10.0.0.${peer === undefined ? 0 : peer.#host.slot}:30000`;
  }

  write(value: unknown): boolean {
    if (!this.#isOver) this.#push({ kind: "data", value });
    return true;
  }

  end(): void {
    this.#finish({ kind: "end" });
  }

  /** The client's side takes its call back. */
  cancel(): void {
    if (this.#isOver) return;
    this.#finish({ kind: "error", error: new CancelledError("cancelled") });
    this.emit("error", toGrpcStatus(new CancelledError("cancelled")));
  }

  /** The process is gone: its kernel says so when it can. */
  died(hasPower: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (hasPower) this.#send({ kind: "error", error: new UnavailableError("the peer's process ended") });
  }

  #finish(item: Item): void {
    if (this.#isOver) return;
    // The server's end of both directions; a client that has said all still listens.
    if (this.#isServer || item.kind === "error") this.#isOver = true;
    this.#send(item);
  }

  #push(item: Item): void {
    if (!this.#host.life.isDead) this.#send(item);
  }

  #send(item: Item): void {
    const { queue, network } = this.#world;
    const lossMs = network.drawLoss() ? RESEND_MS : 0;
    const atMs = Math.max(queue.now + network.drawDelayMs() + lossMs, this.#lane.at(-1)?.atMs ?? 0);
    this.#lane.push({ item, atMs });
    this.#pump();
  }

  #pump(): void {
    const first = this.#lane[0];
    if (first === undefined || this.#isPumping) return;
    this.#isPumping = true;
    const { queue } = this.#world;
    queue.after(Math.max(0, first.atMs - queue.now), () => {
      this.#isPumping = false;
      this.#arrive();
      this.#pump();
    });
  }

  #arrive(): void {
    const { queue, network } = this.#world;
    const peer = this.#peer;
    const first = this.#lane[0];
    if (peer === undefined || first === undefined) return;
    const isCut = network.isCut(this.#host.slot, peer.#host.slot);
    if (isCut || !peer.#host.hasPower()) {
      if (peer.#isOver)
        this.#lane = []; // nobody will ever want it
      else first.atMs = queue.now + RESEND_MS;
      return;
    }
    this.#lane.shift();
    if (peer.#host.life.isDead) {
      this.#lane = [];
      if (!this.#isOver) peer.#refuse();
      return;
    }
    peer.#host.life.through(() => peer.#take(first.item));
  }

  /** On the machine of a process that is gone: whoever wrote hears of it. */
  #refuse(): void {
    this.#isOver = true;
    this.#send({ kind: "error", error: new UnavailableError("nobody listens there") });
  }

  #take(item: Item): void {
    if (this.#isOver) return;
    if (item.kind === "open") {
      item.serve(this);
      return;
    }
    if (item.kind === "data") {
      this.emit("data", item.value);
      return;
    }
    if (item.kind === "end") {
      this.emit("end");
      return;
    }
    this.#isOver = true;
    if (this.#isServer) {
      this.emit("cancelled");
      this.emit("close");
    } else this.emit("error", item.error instanceof Error ? toGrpcStatus(item.error) : item.error);
  }
}

/**
 * A unary call. `serve` runs in the server's process; `back` in the client's, unless it died.
 */
export function wireCall<Reply>(
  world: WireWorld,
  ends: { readonly client: WireHost; readonly server: WireHost | undefined },
  call: {
    readonly timeoutMs: number;
    readonly serve: (answer: (error: unknown, reply?: Reply) => void) => void;
    readonly back: (error: unknown, reply?: Reply) => void;
  },
): void {
  const { queue } = world;
  const { client, server } = ends;
  let isDone = false;
  const back = (error: unknown, reply?: Reply): void => {
    client.life.through(() => {
      if (isDone) return;
      isDone = true;
      call.back(error, reply);
    });
  };
  queue.after(call.timeoutMs, () => back(toGrpcStatus(new UnavailableError("no answer in time"))));
  const travel = (from: WireHost, to: WireHost, run: () => void): void => {
    queue.after(world.network.drawDelayMs(), () => {
      if (!world.network.isCut(from.slot, to.slot)) run();
    });
  };
  if (server === undefined) {
    queue.after(1, () => back(toGrpcStatus(new UnavailableError("nobody listens there"))));
    return;
  }
  travel(client, server, () => {
    if (!server.hasPower()) return;
    if (server.life.isDead) {
      travel(server, client, () => back(toGrpcStatus(new UnavailableError("nobody listens there"))));
      return;
    }
    server.life.through(() => {
      call.serve((error, reply) => {
        if (!server.life.isDead) travel(server, client, () => back(error, reply));
      });
    });
  });
}
