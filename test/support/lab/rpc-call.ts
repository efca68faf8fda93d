/**
 * Calls RPCs of a manager as whoever the certificate says, and prints how each ended.
 * Edge: to the process and grpc-js. Run inside a lab's namespace, with `RpcCall`s as JSON on standard input;
 * answers with as many `RpcOutcome`s.
 */
import { credentials } from "@grpc/grpc-js";
import { messageOf } from "../../../base/errors/errors.js";
import { callUnary } from "../../../base/grpc/grpc-call.js";
import { fromGrpcError } from "../../../base/grpc/grpc-errors.js";
import { CHANNEL_OPTIONS } from "../../../node/manager-channels.js";
import type { TlsIdentity } from "../../../node/rpc-host.js";
import { IssueRequest, NodeCaClient } from "../../../proto/gen/skein/v1/ca.js";
import { ControlClient, ListNodesRequest } from "../../../proto/gen/skein/v1/control.js";
import { DispatcherClient, LeaderReportsClient } from "../../../proto/gen/skein/v1/dispatcher.js";
import { RaftMembershipClient } from "../../../proto/gen/skein/v1/raft.js";
import { NodeAvailability } from "../../../proto/gen/skein/v1/types.js";

export interface RpcCall {
  readonly address: string;
  readonly rpc: "ListNodes" | "Report" | "RaftJoin" | "Session" | "Renew";
  /** The root to verify the manager by; the certificate to show, if any. */
  readonly rootCaPem: string;
  readonly identity?: Pick<TlsIdentity, "keyPem" | "certificatePem">;
}

export interface RpcOutcome {
  /** "ok", or the error's code. */
  readonly code: string;
  readonly message: string;
}

async function carryOut({ address, rpc, rootCaPem, identity }: RpcCall): Promise<void> {
  const key = identity && Buffer.from(identity.keyPem);
  const certificate = identity && Buffer.from(identity.certificatePem);
  const secure = credentials.createSsl(Buffer.from(rootCaPem), key, certificate);
  const options = { timeoutMs: 5_000 };
  switch (rpc) {
    case "ListNodes": {
      const client = new ControlClient(address, secure, CHANNEL_OPTIONS);
      await callUnary(client.listNodes.bind(client), ListNodesRequest.fromPartial({}), options);
      return;
    }
    case "Report": {
      const client = new LeaderReportsClient(address, secure, CHANNEL_OPTIONS);
      await callUnary(
        client.report.bind(client),
        { managerNodeId: "m", reports: [], word: undefined },
        options,
      );
      return;
    }
    case "RaftJoin": {
      const client = new RaftMembershipClient(address, secure, CHANNEL_OPTIONS);
      await callUnary(client.join.bind(client), { nodeId: "intruder", address: "10.99.0.66:2377" }, options);
      return;
    }
    case "Renew": {
      const client = new NodeCaClient(address, secure, CHANNEL_OPTIONS);
      const request = IssueRequest.fromPartial({ availability: NodeAvailability.ACTIVE });
      await callUnary(client.issue.bind(client), request, options);
      return;
    }
    case "Session": {
      const stream = new DispatcherClient(address, secure, CHANNEL_OPTIONS).session();
      await new Promise<void>((resolve, reject) => {
        stream.on("data", () => resolve());
        stream.on("error", reject);
        stream.write({
          message: {
            $case: "hello",
            value: { description: undefined, appliedRevision: 0, protocolVersion: 1 },
          },
        });
      });
      return;
    }
  }
}

async function outcomeOf(call: RpcCall): Promise<RpcOutcome> {
  try {
    await carryOut(call);
    return { code: "ok", message: "" };
  } catch (error) {
    return {
      code: error instanceof Error ? fromGrpcError(error).code : "internal",
      message: messageOf(error),
    };
  }
}

async function main(): Promise<void> {
  const chunks: Buffer[] = [];
  // a pipe without encoding yields Buffers
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const calls = JSON.parse(Buffer.concat(chunks).toString("utf8")) as readonly RpcCall[]; // the test wrote it
  const outcomes = await Promise.all(calls.map(outcomeOf));
  process.stdout.write(JSON.stringify(outcomes), () => process.exit(0));
}

await main();
