/**
 * The Backup service: this manager's state as an encrypted stream. Edge: to @grpc/grpc-js.
 * Invariants: a stream that ends without its `complete` part is no backup; what is inside was acknowledged
 * before the call, or later, unless a stale one was asked for; plain text never leaves this process.
 * Bounds: two at a time, more are refused; a slow reader stops the reading of the state.
 */
import type { ServerWritableStream } from "@grpc/grpc-js";
import type { Clock } from "../../base/clock/clock.js";
import {
  CancelledError,
  FailedPreconditionError,
  messageOf,
  ResourceExhaustedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import {
  BackupHead,
  BackupPart,
  type BackupServer,
  type CreateBackupRequest,
} from "../../proto/gen/skein/v1/backup.js";
import type { RaftNode } from "../../raft/host/raft-node.js";
import type { ReadStore } from "../store/types.js";
import { estimateBackup } from "./backup-estimate.js";
import { createRecoveryKey, parseSecret } from "./backup-key.js";
import { PORTION_BYTES, writeBackup } from "./write-backup.js";

/** Each holds back the deletion of what it reads from the disk. */
const BACKUPS_MAX = 2;
/** A leader is found within two election timeouts, or there is no quorum. */
const BARRIER_TIMEOUT_MS = 5_000;

export interface BackupComponents {
  readonly store: ReadStore;
  readonly raft: Pick<RaftNode, "readBarrier" | "exportState">;
  readonly nodeId: string;
  readonly skeinVersion: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

type Call = ServerWritableStream<CreateBackupRequest, BackupPart>;

export function createBackupHandlers(components: BackupComponents): BackupServer {
  const { log } = components;
  let running = 0;
  return {
    create(call: Call): void {
      if (running >= BACKUPS_MAX) {
        const refusal = `${BACKUPS_MAX} backups are being made by this manager already: try again later`;
        call.emit("error", toGrpcStatus(new ResourceExhaustedError(refusal)));
        return;
      }
      running += 1;
      create(components, call)
        .then(
          () => call.end(),
          (error: unknown) => {
            log.warn("a backup was not completed", { error: messageOf(error) });
            call.emit("error", toGrpcStatus(error));
          },
        )
        .finally(() => {
          running -= 1;
        });
    },
  };
}

async function create(components: BackupComponents, call: Call): Promise<void> {
  const { store, raft, clock, random, nodeId, skeinVersion, log } = components;
  const { passphrase, stale } = call.request;
  const recoveryKey = passphrase === "" ? createRecoveryKey(random) : "";
  const secret = parseSecret(passphrase === "" ? recoveryKey : passphrase);
  if (!stale) await barrier(components);
  const clusterId = store.view((tx) => tx.list("cluster")[0]?.id);
  if (clusterId === undefined)
    throw new FailedPreconditionError("this manager knows no cluster yet: it is still starting");
  const startedMs = clock.monotonicMs();
  const state = await raft.exportState();
  try {
    const { index, term, membership } = state.meta;
    const estimate = store.view(estimateBackup);
    const started = {
      recoveryKey,
      clusterId,
      index,
      term,
      objectsEstimate: estimate.objects,
      bytesEstimate: estimate.bytes,
    };
    await write(call, BackupPart.fromPartial({ started }));
    const head = BackupHead.fromPartial({
      clusterId,
      index,
      term,
      ...(membership === undefined ? {} : { membership }),
      createdAtMs: clock.nowMs(),
      skeinVersion,
      nodeId,
      objectsEstimate: estimate.objects,
    });
    let bytes = 0;
    let objects = 0;
    const portions = state.portions(PORTION_BYTES);
    for await (const part of writeBackup({ head, portions, secret, random })) {
      bytes += part.data.length;
      objects = part.objects;
      await write(call, BackupPart.fromPartial(part));
    }
    await write(call, BackupPart.fromPartial({ objects, complete: true }));
    log.info("backup made", { index, objects, bytes, tookMs: Math.round(clock.monotonicMs() - startedMs) });
  } finally {
    await state.close();
  }
}

async function barrier({ raft, clock }: BackupComponents): Promise<void> {
  const abort = new AbortController();
  const timer = clock.setTimer(BARRIER_TIMEOUT_MS, () => abort.abort());
  try {
    await raft.readBarrier({ signal: abort.signal });
  } catch (error) {
    throw new UnavailableError(
      "no leader confirms that this manager's state is up to date; a stale backup (--stale) takes it as it is",
      { cause: error },
    );
  } finally {
    timer.cancel();
  }
}

/** Waits while the reader is slow. @throws {CancelledError} it is gone. */
async function write(call: Call, part: BackupPart): Promise<void> {
  if (call.cancelled) throw new CancelledError("whoever asked for the backup is gone");
  if (call.write(part)) return;
  await new Promise<void>((resolve, reject) => {
    const settle = (end: () => void): void => {
      call.off("drain", drained);
      call.off("cancelled", gone);
      end();
    };
    const drained = (): void => settle(resolve);
    const gone = (): void => settle(() => reject(new CancelledError("whoever asked for the backup is gone")));
    call.once("drain", drained);
    call.once("cancelled", gone);
  });
}
