/**
 * Tasks that wait for what a secret's driver answers its manager. Pure.
 * Bound: 2 minutes. A question takes a manager a minute at the most, and two where the answer to another task
 * was awaited before; what it hears comes with the next assignments.
 */
import type { Clock } from "../../base/clock/clock.js";
import { CancelledError } from "../../base/errors/errors.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import type { TaskDependencies } from "../exec/controller.js";
import { TaskFailureError } from "../exec/failure-cause.js";
import { isAwaited, secretOf } from "../exec/task-files.js";

const ANSWER_TIMEOUT_MS = 120_000;

export class AwaitedSecrets {
  readonly #clock: Clock;
  readonly #secrets: Pick<TaskDependencies, "secret">;
  readonly #looks = new Set<() => void>();

  constructor(clock: Clock, secrets: Pick<TaskDependencies, "secret">) {
    this.#clock = clock;
    this.#secrets = secrets;
  }

  /** Something was assigned: whoever waits looks again. */
  changed(): void {
    for (const look of [...this.#looks]) look();
  }

  /** @throws {TaskFailureError} after the bound; {CancelledError} when the signal fires. */
  async settled(task: Task, { signal }: { signal: AbortSignal }): Promise<void> {
    const awaited = (): string | undefined =>
      task.spec?.container?.secrets.find((reference) => {
        const secret = secretOf(reference, task, this.#secrets);
        return secret !== undefined && isAwaited(secret);
      })?.secretName;
    if (awaited() === undefined) return;
    await new Promise<void>((resolve, reject) => {
      const end = (error?: Error): void => {
        this.#looks.delete(look);
        timer.cancel();
        signal.removeEventListener("abort", onAbort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const look = (): void => {
        if (awaited() === undefined) end();
      };
      const onAbort = (): void => end(new CancelledError(`preparing task ${task.id} was cancelled`));
      const timer = this.#clock.setTimer(ANSWER_TIMEOUT_MS, () => {
        const words = `its driver has not answered in ${ANSWER_TIMEOUT_MS / 1_000} s`;
        end(new TaskFailureError("secret-missing", `secret ${awaited()} is not available: ${words}`));
      });
      this.#looks.add(look);
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
  }
}
