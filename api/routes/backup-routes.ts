/**
 * /skein/v1/swarm/backup and /skein/v1/swarm/restore. Edge: to the manager's Backup service and the daemon's
 * swarm life cycle. The file passes through encrypted; keys come in a body or a header, never in the URL, and
 * are in no log.
 *
 *   POST …/backup    {"Passphrase": "", "Stale": false} → the file; without a passphrase, the header
 *                    Skein-Backup-Key holds its recovery key. The trailer Skein-Backup-Complete: true says
 *                    that it is whole: without it, it is no backup.
 *   POST …/restore?advertiseAddr=&listenAddr=&dataPathAddr=&availability=   body: the file
 *                    X-Skein-Backup-Key: passphrase or recovery key, as base 64 of UTF-8
 *                    → lines of JSON: {"Progress"}…, then {"Restored"} or {"Error"}. A refusal before the
 *                    first is a status of its own.
 */
import type { ServerResponse } from "node:http";
import {
  CancelledError,
  codeOf,
  InternalError,
  InvalidArgumentError,
  messageOf,
} from "../../base/errors/errors.js";
import { fromGrpcError } from "../../base/grpc/grpc-errors.js";
import type { BackupPart, BackupStarted } from "../../proto/gen/skein/v1/backup.js";
import type { JsonValue } from "../convert/shape.js";
import type { Exchange } from "../http-exchange.js";
import type { ManagerClients } from "../manager-clients.js";
import type { SwarmBackend, SwarmRestoreAccount } from "../ports.js";
import { AVAILABILITIES } from "./node-routes.js";
import type { Route } from "./route.js";

const TRAILERS = { complete: "Skein-Backup-Complete", objects: "Skein-Backup-Objects" } as const;

export function backupRoutes(clients: ManagerClients, swarm: SwarmBackend): Route[] {
  return [
    {
      method: "POST",
      path: "/skein/v1/swarm/backup",
      handle: (exchange) => backup(exchange, clients),
    },
    {
      method: "POST",
      path: "/skein/v1/swarm/restore",
      handle: (exchange) => restore(exchange, swarm),
    },
  ];
}

async function backup(exchange: Exchange, clients: ManagerClients): Promise<undefined> {
  const body = await exchange.body();
  const request = { passphrase: body.string("Passphrase"), stale: body.bool("Stale") };
  const call = (await clients.backup()).create(request);
  exchange.gone().addEventListener("abort", () => call.cancel(), { once: true });
  const { response } = exchange;
  let complete = false;
  try {
    for await (const part of call as AsyncIterable<BackupPart>) {
      if (part.started !== undefined) writeHead(response, part.started);
      if (part.complete) {
        complete = true;
        response.addTrailers({ [TRAILERS.complete]: "true", [TRAILERS.objects]: String(part.objects) });
      } else if (part.data.length > 0 && !(await exchange.write(part.data))) {
        throw new CancelledError("whoever asked for the backup is gone");
      }
    }
    if (!complete) throw new InternalError("the manager ended the backup before it was complete");
  } catch (error) {
    if (!response.headersSent) throw clients.explained(error instanceof Error ? fromGrpcError(error) : error);
    response.destroy(); // an orderly end would make it look whole
    return undefined;
  } finally {
    call.cancel(); // harmless once it is over
  }
  response.end();
  return undefined;
}

function writeHead(response: ServerResponse, started: BackupStarted): void {
  response.writeHead(200, {
    "content-type": "application/octet-stream",
    "cache-control": "no-store",
    "skein-backup-cluster": started.clusterId,
    "skein-backup-index": String(started.index),
    "skein-backup-objects-estimate": String(started.objectsEstimate),
    "skein-backup-bytes-estimate": String(started.bytesEstimate),
    ...(started.recoveryKey === "" ? {} : { "skein-backup-key": started.recoveryKey }),
    trailer: Object.values(TRAILERS).join(", "),
  });
  response.flushHeaders();
}

async function restore(exchange: Exchange, swarm: SwarmBackend): Promise<undefined> {
  const { query, request, response } = exchange;
  const line = (value: JsonValue): void => {
    if (!response.headersSent) exchange.startStream("application/x-ndjson");
    if (!response.destroyed) response.write(`${JSON.stringify(value)}\n`);
  };
  try {
    const availability = query.get("availability") || "active";
    if (!Object.hasOwn(AVAILABILITIES, availability))
      throw new InvalidArgumentError(`availability must be one of active, pause, drain, got ${availability}`);
    const account = await swarm.restore({
      listenAddr: query.get("listenAddr") ?? "",
      advertiseAddr: query.get("advertiseAddr") ?? "",
      dataPathAddr: query.get("dataPathAddr") ?? "",
      availability: AVAILABILITIES[availability as keyof typeof AVAILABILITIES], // hasOwn proved it
      secret: secretOf(exchange),
      // Not destroyed when it is refused: its connection must stay for the answer.
      file: request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>,
      onProgress: ({ bytes, objects, objectsEstimate }) =>
        line({ Progress: { Bytes: bytes, Objects: objects, ObjectsEstimate: objectsEstimate } }),
    });
    line({ Restored: accountOut(account) });
  } catch (error) {
    request.resume(); // the rest is read and dropped, so that the client comes to read the answer
    if (!response.headersSent) throw error;
    line({ Error: { Code: codeOf(error), Message: messageOf(error) } });
  }
  response.end();
  return undefined;
}

function secretOf(exchange: Exchange): string {
  const encoded = exchange.header("x-skein-backup-key");
  if (encoded === "" || !/^[A-Za-z0-9+/]+=*$/.test(encoded)) {
    throw new InvalidArgumentError(
      "the header X-Skein-Backup-Key must hold the passphrase or the recovery key, as base 64",
    );
  }
  return Buffer.from(encoded, "base64").toString("utf8");
}

function accountOut(account: SwarmRestoreAccount): JsonValue {
  const { backup } = account;
  return {
    NodeID: account.nodeId,
    ClusterID: account.clusterId,
    Objects: account.objects,
    Index: account.index,
    Autolock: account.autolock,
    Backup: {
      Index: backup.index,
      Term: backup.term,
      CreatedAt: new Date(backup.createdAtMs).toISOString(),
      SkeinVersion: backup.skeinVersion,
    },
    FormerManagers: account.formerManagers.map(({ nodeId, hostname, address }) => ({
      ID: nodeId,
      Hostname: hostname,
      Addr: address,
    })),
  };
}
