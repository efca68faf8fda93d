/**
 * Turns functions into gRPC handlers. Edge: to @grpc/grpc-js.
 */
import type { handleUnaryCall, ServerUnaryCall } from "@grpc/grpc-js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";

/** A unary handler of a function that returns or throws. */
export function unary<Req, Res>(
  answer: (request: Req, call: ServerUnaryCall<Req, Res>) => Promise<Res> | Res,
): handleUnaryCall<Req, Res> {
  return (call, callback) => {
    const run = async (): Promise<Res> => answer(call.request, call);
    run().then(
      (reply) => callback(null, reply),
      (error: unknown) => callback(toGrpcStatus(error)),
    );
  };
}
