/**
 * The Logs and LogBroker services on the wire. Edge: to @grpc/grpc-js.
 * Invariant: a publishing node is the one named by the connection's certificate, whatever its messages say.
 */
import type {
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
} from "@grpc/grpc-js";
import { NotFoundError, ResourceExhaustedError, UnauthenticatedError } from "../../base/errors/errors.js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import { directPeer, type IdentifiableCall } from "../../base/grpc/peer-identity.js";
import type {
  FindRemovedRequest,
  ListenSubscriptionsRequest,
  LogBatch,
  LogBrokerServer,
  LogSubscription,
  LogsServer,
  PublishedLogs,
  PublishReply,
  RemovedReply,
  SubscribeLogsRequest,
} from "../../proto/gen/skein/v1/logs.js";
import { withPullAuth } from "../control/spec-comparison.js";
import type { ManagerLogBroker, Publication } from "./log-broker.js";

/** @returns the node id of the caller; undefined when nobody vouches for it. */
export type IdentifyNode = (call: IdentifiableCall) => string | undefined;

/**
 * Orders to one node that its stream has not taken yet, more than all subscriptions and tunnels that can be
 * open at once; then it is ended, and the node listens anew.
 */
const UNREAD_MAX = 4_096;

type Broker = Pick<ManagerLogBroker, "subscribe" | "listen" | "publish" | "findRemoved">;

export function createLogsHandlers(broker: Broker): LogsServer {
  return {
    findRemoved(
      call: ServerUnaryCall<FindRemovedRequest, RemovedReply>,
      callback: sendUnaryData<RemovedReply>,
    ): void {
      try {
        const tasks = broker.findRemoved(call.request.reference);
        const newest = tasks.at(-1);
        const taskIds = tasks.map(({ id }) => id);
        callback(null, { taskIds, newest: newest && { ...newest, spec: withPullAuth(newest.spec, "") } });
      } catch (error) {
        callback(toGrpcStatus(error));
      }
    },

    subscribeLogs(call: ServerWritableStream<SubscribeLogsRequest, LogBatch>): void {
      let over = false;
      try {
        const subscription = broker.subscribe(call.request, {
          write: (batch) => (over ? true : call.write(batch)),
          end: (error) => {
            if (over) return;
            over = true;
            if (error === undefined) call.end();
            else call.emit("error", toGrpcStatus(error));
          },
        });
        const closed = (): void => {
          over = true;
          subscription.closed();
        };
        call.on("drain", () => subscription.drained());
        call.on("cancelled", closed);
        call.on("close", closed);
      } catch (error) {
        over = true;
        call.emit("error", toGrpcStatus(error));
      }
    },
  };
}

export function createLogBrokerHandlers(broker: Broker, identify: IdentifyNode | undefined): LogBrokerServer {
  const nodeOf = (call: IdentifiableCall): string | undefined =>
    (identify === undefined ? directPeer(call)?.nodeId : identify(call)) || undefined;
  return {
    listenSubscriptions(call: ServerWritableStream<ListenSubscriptionsRequest, LogSubscription>): void {
      const nodeId = nodeOf(call);
      if (nodeId === undefined) {
        call.emit(
          "error",
          toGrpcStatus(new UnauthenticatedError("listening for logs needs a node certificate")),
        );
        return;
      }
      let over = false;
      const end = (error?: Error): void => {
        if (over) return;
        over = true;
        if (error === undefined) call.end();
        else call.emit("error", toGrpcStatus(error));
      };
      const listener = broker.listen(nodeId, {
        send: (subscription) => {
          if (over) return;
          if (call.writableLength < UNREAD_MAX) call.write(subscription);
          else end(new ResourceExhaustedError(`${UNREAD_MAX} orders wait to be read by node ${nodeId}`));
        },
        end,
      });
      const closed = (): void => {
        over = true;
        listener.closed();
      };
      call.on("cancelled", closed);
      call.on("close", closed);
    },

    publishLogs(
      call: ServerReadableStream<PublishedLogs, PublishReply>,
      callback: sendUnaryData<PublishReply>,
    ): void {
      const nodeId = nodeOf(call);
      let publication: Publication | undefined;
      let over = false;
      const finish = (error?: Error): void => {
        if (over) return;
        over = true;
        publication?.closed();
        if (error === undefined) callback(null, {});
        else callback(toGrpcStatus(error));
      };
      if (nodeId === undefined) {
        finish(new UnauthenticatedError("publishing logs needs a node certificate"));
        return;
      }
      call.on("data", (logs: PublishedLogs) => {
        if (over) return;
        publication ??= broker.publish(nodeId, logs.subscriptionId);
        if (publication === undefined) {
          finish(new NotFoundError(`log subscription ${logs.subscriptionId} is over`));
          return;
        }
        if (publication.receive(logs)) return;
        call.pause();
        publication.onResume(() => call.resume());
      });
      call.on("end", () => finish());
      call.on("error", (error: Error) => finish(error));
      call.on("cancelled", () => {
        over = true;
        publication?.closed();
      });
    },
  };
}
