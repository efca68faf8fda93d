/**
 * The Dispatcher service on the wire: one bidirectional stream per agent. Edge: to @grpc/grpc-js.
 * Invariant: the node is the one named by the connection's certificate, whatever the messages say.
 */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { UnauthenticatedError } from "../../base/errors/errors.js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import { directPeer, type IdentifiableCall } from "../../base/grpc/peer-identity.js";
import type {
  AgentMessage,
  DispatcherMessage,
  DispatcherServer,
} from "../../proto/gen/skein/v1/dispatcher.js";
import type { OpenSession } from "./dispatcher.js";
import type { SessionStream } from "./session.js";

/** @returns the node id of the caller; undefined when nobody vouches for it. */
export type IdentifyNode = (call: IdentifiableCall) => string | undefined;

export interface DispatcherHandlersOptions {
  open(stream: SessionStream): OpenSession;
  readonly identify?: IdentifyNode;
}

/** @returns the IP of "ip:port", "ipv4:ip:port" or "[ip6]:port"; "" for what is none (a unix socket). */
export function addressOfPeer(peer: string): string {
  const text = peer.replace(/^ipv[46]:/, "");
  const bracketed = /^\[(.+)\]:\d+$/.exec(text);
  const address = bracketed?.[1] ?? /^(.+):\d+$/.exec(text)?.[1] ?? "";
  return address.replace(/^::ffff:/, "");
}

export function createDispatcherHandlers(options: DispatcherHandlersOptions): DispatcherServer {
  const identify = options.identify ?? ((call) => directPeer(call)?.nodeId);
  return {
    session(call: ServerDuplexStream<AgentMessage, DispatcherMessage>): void {
      const nodeId = identify(call);
      if (nodeId === undefined || nodeId === "") {
        call.emit("error", toGrpcStatus(new UnauthenticatedError("a session needs a node certificate")));
        return;
      }
      let over = false;
      const session = options.open({
        nodeId,
        address: addressOfPeer(call.getPeer()),
        send: (message) => (over ? true : call.write(message)),
        end: (error) => {
          if (over) return;
          over = true;
          if (error === undefined) call.end();
          else call.emit("error", toGrpcStatus(error));
        },
      });
      const closed = (): void => {
        session.closed();
      };
      call.on("data", (message: AgentMessage) => session.receive(message));
      call.on("drain", () => session.drained());
      call.on("end", closed); // the agent has said all: the session ends, and our side with it
      call.on("cancelled", () => {
        over = true;
        closed();
      });
      call.on("close", closed);
      call.on("error", closed);
    },
  };
}
