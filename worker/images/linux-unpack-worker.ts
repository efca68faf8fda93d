/**
 * The thread that unpacks layers, so that the event loop of the node stays free for seconds of file writes.
 * Edge: worker thread. Invariant: one request at a time; what Node cannot do is asked of the parent, which
 * owns the FFI.
 */
import { parentPort } from "node:worker_threads";
import type { ErrorCode } from "../../base/errors/errors.js";
import { codeOf, InternalError, messageOf } from "../../base/errors/errors.js";
import { invariant } from "../../base/errors/invariant.js";
import type { KernelCalls } from "./linux-layer-extractor.js";
import { type UnpackRequest, type UnpackResult, unpackLayer } from "./linux-layer-unpack.js";

export type KernelCall =
  | { readonly name: "makeNode"; readonly options: Parameters<KernelCalls["makeNode"]>[0] }
  | {
      readonly name: "setXattr";
      readonly path: string;
      readonly attribute: string;
      readonly value: Uint8Array;
    };

export type ToWorker =
  | { readonly kind: "unpack"; readonly request: UnpackRequest }
  | { readonly kind: "kernel-done"; readonly error: string | undefined };

export type FromWorker =
  | { readonly kind: "kernel"; readonly call: KernelCall }
  | { readonly kind: "done"; readonly result: UnpackResult }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string };

if (parentPort !== null) serve(parentPort);

function serve(port: NonNullable<typeof parentPort>): void {
  // The extractor awaits each call before the next, so there is at most one open.
  let settle: ((error: string | undefined) => void) | undefined;
  const post = (message: FromWorker): void => port.postMessage(message);
  const ask = (call: KernelCall): Promise<void> =>
    new Promise((resolve, reject) => {
      invariant(settle === undefined, "one kernel call at a time");
      settle = (error) => (error === undefined ? resolve() : reject(new InternalError(error)));
      post({ kind: "kernel", call });
    });
  const kernel: KernelCalls = {
    makeNode: (options) => ask({ name: "makeNode", options }),
    setXattr: (path, attribute, value) => ask({ name: "setXattr", path, attribute, value }),
  };
  port.on("message", (message: ToWorker) => {
    if (message.kind === "kernel-done") {
      const answered = settle;
      settle = undefined;
      answered?.(message.error);
      return;
    }
    unpackLayer(message.request, kernel).then(
      (result) => post({ kind: "done", result }),
      (error: unknown) => post({ kind: "failed", code: codeOf(error), message: messageOf(error) }),
    );
  });
}
