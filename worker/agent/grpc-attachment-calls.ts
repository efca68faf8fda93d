/**
 * Attachments asked of the managers: of the one this agent has a session with, and of the next one when it
 * goes away. Edge: to @grpc/grpc-js.
 * Invariant: every call ends within its bound, with or without a manager.
 */
import { Metadata, type ServiceError } from "@grpc/grpc-js";
import type { Clock } from "../../base/clock/clock.js";
import { codeOf, UnavailableError } from "../../base/errors/errors.js";
import { fromGrpcError } from "../../base/grpc/grpc-errors.js";
import type { ManagerAttachments } from "../../net-overlay/attachments/manager-attachments.js";
import type { AttachmentsClient, AttachReply, AttachRequest } from "../../proto/gen/skein/v1/attachments.js";

/** Without a session for that long there is no manager to ask. */
export const SESSION_WAIT_MS = 5_000;
/** Between two managers. */
const RETRY_MS = 100;

export type AttachmentCalls = Pick<AttachmentsClient, "attach" | "detach">;

export interface GrpcAttachmentOptions {
  /** Of the manager of the open session; undefined: there is none. */
  readonly manager: () => AttachmentCalls | undefined;
  readonly clock: Clock;
}

export class GrpcAttachments implements ManagerAttachments {
  readonly #options: GrpcAttachmentOptions;
  readonly #waiting = new Set<() => void>();
  #closed = false;

  constructor(options: GrpcAttachmentOptions) {
    this.#options = options;
  }

  attach(request: AttachRequest, { timeoutMs }: { timeoutMs: number }): Promise<AttachReply> {
    return this.#ask(timeoutMs, (calls, deadlineMs) =>
      answer((done) => calls.attach(request, new Metadata(), { deadline: deadlineMs }, done)),
    );
  }

  async detach(attachmentId: string, { timeoutMs }: { timeoutMs: number }): Promise<void> {
    await this.#ask(timeoutMs, (calls, deadlineMs) =>
      answer((done) => calls.detach({ attachmentId }, new Metadata(), { deadline: deadlineMs }, done)),
    );
  }

  /** A session has begun. */
  connected(): void {
    for (const go of [...this.#waiting]) go();
  }

  close(): void {
    this.#closed = true;
    this.connected();
  }

  /** Calls may be repeated: both are idempotent. */
  async #ask<T>(
    timeoutMs: number,
    call: (calls: AttachmentCalls, deadlineMs: number) => Promise<T>,
  ): Promise<T> {
    const { clock } = this.#options;
    const endMs = clock.monotonicMs() + timeoutMs;
    for (;;) {
      const calls = await this.#session(Math.min(SESSION_WAIT_MS, endMs - clock.monotonicMs()));
      try {
        return await call(calls, clock.nowMs() + endMs - clock.monotonicMs());
      } catch (error) {
        const isPassing = ["unavailable", "not-leader"].includes(codeOf(error));
        if (!isPassing || clock.monotonicMs() + RETRY_MS >= endMs) throw error;
        await clock.sleep(RETRY_MS);
      }
    }
  }

  /** @throws {UnavailableError} none within the time. */
  async #session(waitMs: number): Promise<AttachmentCalls> {
    const { manager, clock } = this.#options;
    const now = this.#closed ? undefined : manager();
    if (now !== undefined) return now;
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        this.#waiting.delete(look);
        timer.cancel();
        settle();
      };
      const look = (): void => {
        const calls = this.#closed ? undefined : manager();
        if (calls !== undefined) finish(() => resolve(calls));
        else if (this.#closed) finish(() => reject(noManager()));
      };
      const timer = clock.setTimer(Math.max(0, waitMs), () => finish(() => reject(noManager())));
      this.#waiting.add(look);
    });
  }
}

function noManager(): UnavailableError {
  return new UnavailableError("no manager of the swarm can be reached from this node");
}

function answer<T>(start: (done: (error: ServiceError | null, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(fromGrpcError(error)) : resolve(value)));
  });
}
