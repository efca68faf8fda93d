/**
 * Tunnels on the wire: the API's end and the node's end of each, and the bytes between them.
 * Edge: to @grpc/grpc-js. Invariants: what one end may send is what the other has allowed, so a slow reader
 * holds up its own tunnel and nothing else; what breaks at one end breaks at the other; a node is the one
 * named by its certificate, whatever its frames say.
 */
import type { ServerDuplexStream, ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import type { Clock } from "../../base/clock/clock.js";
import { InvalidArgumentError, UnauthenticatedError, UnavailableError } from "../../base/errors/errors.js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import { directPeer, type IdentifiableCall } from "../../base/grpc/peer-identity.js";
import {
  type ContainerPlace,
  type FindContainerRequest,
  type ReachServer,
  TunnelFrame,
  type TunnelsServer,
} from "../../proto/gen/skein/v1/reach.js";
import { DIAL_BACK_MS, TunnelBroker, type TunnelBrokerComponents } from "./tunnel-broker.js";

type TunnelCall = ServerDuplexStream<TunnelFrame, TunnelFrame>;

export interface Reach {
  /** For the API; manager certificates. */
  readonly reachHandlers: ReachServer;
  /** For agents; any node certificate. */
  readonly tunnelHandlers: TunnelsServer;
  close(): void;
}

/** The end of a node, from its first frame on. */
interface NodeEnd {
  readonly call: TunnelCall;
}

const FRAME: TunnelFrame = TunnelFrame.create();

export function createReach(
  components: TunnelBrokerComponents,
  identify: (call: IdentifiableCall) => string | undefined = (call) => directPeer(call)?.nodeId,
): Reach {
  const broker = new TunnelBroker<NodeEnd>(components);
  const { clock } = components;
  return {
    reachHandlers: {
      findContainer(
        call: ServerUnaryCall<FindContainerRequest, ContainerPlace>,
        callback: sendUnaryData<ContainerPlace>,
      ): void {
        try {
          callback(null, broker.find(call.request.name));
        } catch (error) {
          callback(toGrpcStatus(error));
        }
      },
      openTunnel: (call) => onFirstFrame(call, clock, (frame) => openTunnel(broker, call, frame)),
    },
    tunnelHandlers: {
      serveTunnel: (call) =>
        onFirstFrame(call, clock, (frame) => serveTunnel(broker, call, frame, identify(call))),
    },
    close: () => broker.close(),
  };
}

/** The first frame says what the tunnel is for; whoever sends none within the bound is let go. */
function onFirstFrame(call: TunnelCall, clock: Clock, use: (frame: TunnelFrame) => void): void {
  const came = (frame: TunnelFrame): void => {
    timer.cancel();
    call.pause(); // the other end takes what follows
    try {
      use(frame);
    } catch (error) {
      call.emit("error", toGrpcStatus(error));
    }
  };
  const timer = clock.setTimer(DIAL_BACK_MS, () => {
    call.off("data", came);
    call.emit("error", toGrpcStatus(new UnavailableError("a tunnel begins with a frame, and none came")));
  });
  call.once("data", came);
  call.once("cancelled", () => timer.cancel());
}

function openTunnel(broker: TunnelBroker<NodeEnd>, call: TunnelCall, { target }: TunnelFrame): void {
  if (target === undefined)
    throw new InvalidArgumentError("the first frame of a tunnel must name its target");
  const tunnel = broker.open(target, {
    connected: (end) => {
      call.off("cancelled", tunnel.closed);
      call.write(FRAME);
      splice(call, end.call, tunnel.closed);
    },
    refused: (error) => {
      tunnel.closed();
      call.emit("error", toGrpcStatus(error));
    },
  });
  call.once("cancelled", tunnel.closed);
}

function serveTunnel(
  broker: TunnelBroker<NodeEnd>,
  call: TunnelCall,
  frame: TunnelFrame,
  nodeId: string | undefined,
): void {
  if (nodeId === undefined || nodeId === "")
    throw new UnauthenticatedError("serving a tunnel needs a node certificate");
  broker.answer(nodeId, frame.tunnelId, { call }, frame.error);
  if (frame.error !== "") call.end();
}

/** Brings two ends together until both have sent their last, or one breaks. */
function splice(a: TunnelCall, b: TunnelCall, onOver: () => void): void {
  let over = false;
  let ends = 0;
  const end = (error?: Error): void => {
    if (over) return;
    over = true;
    onOver();
    for (const call of [a, b]) {
      if (error === undefined) call.end();
      else if (!call.cancelled) call.emit("error", toGrpcStatus(error));
      call.resume(); // nobody takes the rest; its end must be seen
    }
  };
  const pump = (from: TunnelCall, to: TunnelCall): void => {
    let fin = false;
    const finished = (): void => {
      ends += 1;
      if (ends === 2) end();
    };
    from.on("data", ({ data, fin: last, creditBytes }: TunnelFrame) => {
      if (over) return;
      fin ||= last;
      from.pause();
      to.write({ ...FRAME, data, fin: last, creditBytes }, () => {
        if (over) return;
        if (last) finished();
        from.resume();
      });
    });
    from.on("end", () => {
      if (!fin) broken();
    });
    const broken = (): void => end(new UnavailableError("the other end of the tunnel is gone"));
    from.on("cancelled", broken);
    from.on("error", broken);
    from.resume();
  };
  if (a.cancelled || b.cancelled) {
    end(new UnavailableError("the other end of the tunnel is gone"));
    return;
  }
  pump(a, b);
  pump(b, a);
}
