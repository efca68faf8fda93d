/**
 * What a node still has to tell the managers: places to be given back, and containers whose names have
 * changed or whose places the managers have lost.
 * Pure (managers and clock are handed in). Invariants: a debt is paid once at a time and kept until it was
 * heard; nothing is given back while its container asks for a place.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { codeOf, messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { ManagerAttachments } from "./manager-attachments.js";

const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 5_000;
/** One attempt; a manager that was not reached is asked again. */
const ATTEMPT_TIMEOUT_MS = 5_000;

export interface DebtOptions {
  /** Whether a container is being given a place. */
  readonly isBusy: (containerId: string) => boolean;
  readonly renew: (leaseId: string) => Promise<void>;
}

export class AttachmentDebts {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #options: DebtOptions;
  /** Attachments to be given back, by id: whose. */
  readonly #owed = new Map<string, string>();
  readonly #renewals = new Set<string>();
  /** Under way, by id of attachment or lease. */
  readonly #paying = new Map<string, Promise<void>>();
  #managers: ManagerAttachments | undefined;
  #retry: Timer | undefined;
  #retryMs = RETRY_FIRST_MS;

  constructor(parts: { clock: Clock; log: Logger }, options: DebtOptions) {
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#options = options;
  }

  connect(managers: ManagerAttachments | undefined): void {
    this.#managers = managers;
    this.#retry?.cancel();
    this.#retry = undefined;
    this.#retryMs = RETRY_FIRST_MS;
    if (managers === undefined) {
      this.#owed.clear(); // they went with the node
      this.#renewals.clear();
    } else this.#payAll();
  }

  /** Resolves when a manager has heard it, or after `waitMs`. */
  async owe(attachmentId: string, containerId: string, { waitMs }: { waitMs: number }): Promise<void> {
    if (this.#managers === undefined) return;
    this.#owed.set(attachmentId, containerId);
    const paid = this.#giveBack(attachmentId);
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      timer = this.#clock.setTimer(waitMs, resolve);
    });
    await Promise.race([paid, late]);
    timer?.cancel();
  }

  oweLater(attachmentId: string, containerId: string): void {
    if (this.#managers === undefined || this.#owed.has(attachmentId)) return;
    this.#owed.set(attachmentId, containerId);
    void this.#giveBack(attachmentId);
  }

  renewLater(leaseId: string): void {
    if (this.#managers === undefined) return;
    this.#renewals.add(leaseId);
    void this.#renew(leaseId);
  }

  /** It is wanted again. */
  forgive(attachmentId: string): void {
    this.#owed.delete(attachmentId);
  }

  /** When nothing of a container is being given back. */
  async settled(containerId: string): Promise<void> {
    const own = [...this.#owed].flatMap(([id, of]) => (of === containerId ? [this.#paying.get(id)] : []));
    await Promise.all(own);
  }

  close(): void {
    this.#retry?.cancel();
    this.#retry = undefined;
    this.#managers = undefined;
  }

  #payAll(): void {
    for (const id of this.#owed.keys()) void this.#giveBack(id);
    for (const id of this.#renewals) void this.#renew(id);
  }

  #giveBack(id: string): Promise<void> {
    return this.#pay(id, async (managers) => {
      const containerId = this.#owed.get(id);
      if (containerId === undefined || this.#options.isBusy(containerId)) return;
      try {
        await managers.detach(id, { timeoutMs: ATTEMPT_TIMEOUT_MS });
      } catch (error) {
        if (codeOf(error) !== "permission-denied") throw error;
        // another node's by now: this one was removed and has come again
      }
      this.#owed.delete(id);
    });
  }

  #renew(leaseId: string): Promise<void> {
    return this.#pay(leaseId, async () => {
      if (!this.#renewals.has(leaseId)) return;
      await this.#options.renew(leaseId);
      this.#renewals.delete(leaseId);
    });
  }

  /** Never rejects: what failed is tried again. */
  #pay(id: string, work: (managers: ManagerAttachments) => Promise<void>): Promise<void> {
    const running = this.#paying.get(id);
    if (running !== undefined) return running;
    const managers = this.#managers;
    if (managers === undefined) return Promise.resolve();
    const attempt = async (): Promise<void> => {
      try {
        await work(managers);
        this.#retryMs = RETRY_FIRST_MS;
      } catch (error) {
        this.#log.info("managers were not told of an attachment; again later", {
          attachment: id,
          error: messageOf(error),
        });
      } finally {
        this.#paying.delete(id);
      }
      this.#retryLater();
    };
    const paying = attempt();
    this.#paying.set(id, paying);
    return paying;
  }

  #retryLater(): void {
    const isOpen = this.#owed.size + this.#renewals.size > this.#paying.size;
    if (!isOpen || this.#managers === undefined || this.#retry !== undefined) return;
    this.#retry = this.#clock.setTimer(this.#retryMs, () => {
      this.#retry = undefined;
      this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS);
      this.#payAll();
    });
  }
}
