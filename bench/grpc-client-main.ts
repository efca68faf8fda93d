/**
 * The client of the write benchmark, a process of its own: N writers in a closed loop, each with one call
 * in flight, over a few connections. One code path for both systems; only path, request and answer
 * differ.
 * Edge: to @grpc/grpc-js and the parent process.
 *
 * Skein: CreateConfig with a new name. etcd: Put of a new key (rpc.proto; the two messages are written by
 * hand below). Values are random bytes. Every call carries a deadline of ten seconds, as skeind's do.
 */
import { performance } from "node:perf_hooks";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import _m0 from "protobufjs/minimal.js";
import { messageOf } from "../base/errors/errors.js";
import { systemRandom } from "../base/random/system-random.js";
import { ControlService, CreateConfigRequest } from "../proto/gen/skein/v1/control.js";

export interface Load {
  readonly id: number;
  readonly system: "skein" | "etcd";
  /** What grpc-js dials. */
  readonly target: string;
  readonly connections: number;
  readonly inFlight: number;
  readonly bytes: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
}

export interface Measured {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly count: number;
}

interface Write<Reply> {
  readonly path: string;
  readonly request: (name: string, data: Uint8Array) => Buffer;
  readonly reply: (bytes: Buffer) => Reply;
}

const createConfig: Write<unknown> = {
  path: ControlService.createConfig.path,
  request: (name, data) =>
    ControlService.createConfig.requestSerialize(
      CreateConfigRequest.fromPartial({ annotations: { name, labels: {} }, data }),
    ),
  reply: ControlService.createConfig.responseDeserialize,
};

/** PutRequest {bytes key = 1; bytes value = 2}; PutResponse {ResponseHeader header = 1}. */
const put: Write<unknown> = {
  path: "/etcdserverpb.KV/Put",
  request: (name, data) =>
    Buffer.from(_m0.Writer.create().uint32(10).string(name).uint32(18).bytes(data).finish()),
  reply: (bytes) => {
    const reader = _m0.Reader.create(bytes);
    if (reader.uint32() !== 10) throw new Error("a PutResponse begins with its header");
    return reader.bytes();
  },
};

const writes = { skein: createConfig, etcd: put } as const;

const DEADLINE_MS = 10_000;

function call(client: Client, write: Write<unknown>, request: Buffer): Promise<unknown> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      write.path,
      (bytes: Buffer) => bytes,
      write.reply,
      request,
      new Metadata(),
      { deadline: Date.now() + DEADLINE_MS },
      (error, value) => (error === null ? resolve(value) : reject(error)),
    );
  });
}

async function run(load: Load): Promise<Measured> {
  const write = writes[load.system];
  const clients = Array.from(
    { length: load.connections },
    () =>
      new Client(load.target, credentials.createInsecure(), {
        "grpc.use_local_subchannel_pool": 1,
        "grpc.enable_retries": 0,
      }),
  );
  const prefix = `w${systemRandom.uint32().toString(36)}`;
  const beginAt = performance.now() + load.warmUpMs;
  const endAt = beginAt + load.durationMs;
  const latencies: number[] = [];
  let number = 0;
  const writer = async (client: Client): Promise<void> => {
    for (;;) {
      const sentAt = performance.now();
      if (sentAt >= endAt) return;
      await call(client, write, write.request(`${prefix}-${number++}`, systemRandom.bytes(load.bytes)));
      const doneAt = performance.now();
      if (doneAt >= beginAt && doneAt <= endAt) latencies.push(doneAt - sentAt);
    }
  };
  try {
    const writers = Array.from({ length: load.inFlight }, (_, i) => {
      const client = clients[i % clients.length];
      if (client === undefined) throw new Error("a load has at least one connection");
      return writer(client);
    });
    await Promise.all(writers);
  } finally {
    for (const client of clients) client.close();
  }
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  const perSecond = latencies.length / (load.durationMs / 1_000);
  return { perSecond, p50Ms: at(0.5), p99Ms: at(0.99), count: latencies.length };
}

process.on("message", (load: Load) => {
  run(load).then(
    (value) => process.send?.({ id: load.id, value }),
    (error: unknown) => process.send?.({ id: load.id, error: messageOf(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
