/**
 * Unary answers leave in one write. Edge: to @grpc/grpc-js.
 * The library sends the status of a unary call only when the message before it has left the process, one
 * turn of the event loop later: a second system call here, a second wake-up at the caller, who waits for the
 * status. Here the status is handed over together with the message. The order on the wire is the same; a
 * connection that breaks is told by the call's cancellation, as before.
 */
import { ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";

class MessageWithStatus extends ServerInterceptingCall {
  override sendMessage(message: unknown, sent: () => void): void {
    super.sendMessage(message, () => undefined); // whether it has left is nobody's question here
    sent();
  }
}

export const answerInOneWrite: ServerInterceptor = (method, call) =>
  method.responseStream ? new ServerInterceptingCall(call) : new MessageWithStatus(call);
