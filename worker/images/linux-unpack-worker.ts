/**
 * The thread that unpacks, copies and packs layers, so that the event loop of the node stays free for seconds
 * of file work.
 * Edge: worker thread. Invariant: one job at a time; what Node cannot do while unpacking is asked of the
 * parent. Jobs that read extended attributes load the system calls here, for them alone.
 */
import { parentPort } from "node:worker_threads";
import type { ErrorCode } from "../../base/errors/errors.js";
import { codeOf, InternalError, messageOf } from "../../base/errors/errors.js";
import { invariant } from "../../base/errors/invariant.js";
import type { KernelCalls } from "./linux-layer-extractor.js";
import type { CompressRequest, PackRequest, PackResult, TarSum } from "./linux-layer-pack.js";
import type { SnapshotRequest, SnapshotResult } from "./linux-layer-snapshot.js";
import { type UnpackRequest, type UnpackResult, unpackLayer } from "./linux-layer-unpack.js";

export type KernelCall =
  | { readonly name: "makeNode"; readonly options: Parameters<KernelCalls["makeNode"]>[0] }
  | {
      readonly name: "setXattr";
      readonly path: string;
      readonly attribute: string;
      readonly value: Uint8Array;
    };

/** What each kind of job is asked, and what it answers. */
export interface LayerJobs {
  readonly unpack: { readonly request: UnpackRequest; readonly result: UnpackResult };
  readonly snapshot: { readonly request: SnapshotRequest; readonly result: SnapshotResult };
  readonly sum: { readonly request: { readonly root: string }; readonly result: TarSum };
  readonly compress: { readonly request: CompressRequest; readonly result: PackResult };
  readonly pack: { readonly request: PackRequest; readonly result: PackResult };
}
export type LayerJobKind = keyof LayerJobs;

export type LayerJob = {
  readonly [K in LayerJobKind]: { readonly kind: K; readonly request: LayerJobs[K]["request"] };
}[LayerJobKind];

export type ToWorker = LayerJob | { readonly kind: "kernel-done"; readonly error: string | undefined };

export type FromWorker =
  | { readonly kind: "kernel"; readonly call: KernelCall }
  | { readonly kind: "bytes"; readonly readBytes: number }
  | { readonly kind: "done"; readonly result: LayerJobs[LayerJobKind]["result"] }
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
    runJob(message, kernel, (readBytes) => post({ kind: "bytes", readBytes })).then(
      (result) => post({ kind: "done", result }),
      (error: unknown) => post({ kind: "failed", code: codeOf(error), message: messageOf(error) }),
    );
  });
}

async function runJob(
  job: LayerJob,
  kernel: KernelCalls,
  onBytes: (readBytes: number) => void,
): Promise<LayerJobs[LayerJobKind]["result"]> {
  switch (job.kind) {
    case "unpack":
      return await unpackLayer(job.request, kernel, onBytes);
    case "snapshot": {
      const { snapshotLayer } = await import("./linux-layer-snapshot.js");
      return await snapshotLayer(job.request, kernel);
    }
    case "sum": {
      const { sumLayer } = await import("./linux-layer-pack.js");
      return sumLayer(job.request.root);
    }
    case "compress": {
      const { compressLayer } = await import("./linux-layer-pack.js");
      return await compressLayer(job.request);
    }
    case "pack": {
      const { packLayer } = await import("./linux-layer-pack.js");
      return await packLayer(job.request);
    }
  }
}
