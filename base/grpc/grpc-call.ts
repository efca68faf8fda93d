/**
 * Unary gRPC calls as promises with a deadline and a signal. Edge: to @grpc/grpc-js.
 */
import { type CallOptions, type ClientUnaryCall, Metadata, type ServiceError } from "@grpc/grpc-js";
import { CancelledError } from "../errors/errors.js";
import { fromGrpcError } from "./grpc-errors.js";

type UnaryMethod<Req, Res> = (
  request: Req,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Res) => void,
) => ClientUnaryCall;

export interface UnaryOptions {
  /** Milliseconds from now. @default 10000 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly metadata?: Metadata;
}

/**
 * @example await callUnary(client.getNode.bind(client), { id }, { timeoutMs: 2_000 })
 * @throws {SkeinError} whatever the server answered, rebuilt; {UnavailableError} when it cannot be reached.
 */
export function callUnary<Req, Res>(
  method: UnaryMethod<Req, Res>,
  request: Req,
  options: UnaryOptions = {},
): Promise<Res> {
  const { signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(new CancelledError("the call was cancelled before it was sent"));
      return;
    }
    const onAbort = (): void => call.cancel();
    const call = method(
      request,
      options.metadata ?? new Metadata(),
      { deadline: Date.now() + (options.timeoutMs ?? 10_000) },
      (error, response) => {
        signal?.removeEventListener("abort", onAbort);
        if (error) reject(fromGrpcError(error));
        else resolve(response);
      },
    );
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
