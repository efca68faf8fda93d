/**
 * The manager's questions to secret drivers, asked through its daemon, whose user may speak to plugins.
 * Pure over the channel and the clock. Data is in memory and on the channel alone.
 * Bounds: 16 questions under way; one waits 30 s for its turn at the most, then 25 s for its answer.
 */
import type { Clock } from "../base/clock/clock.js";
import { UnavailableError } from "../base/errors/errors.js";
import type { SecretDrivers } from "../manager/dispatcher/driver-secrets.js";
import type { FromManager, ToManager } from "./manager-messages.js";

const UNDER_WAY_MAX = 16;
const TURN_TIMEOUT_MS = 30_000;
/** Longer than the daemon waits for a plugin: 10 s until it says what it is, and 10 s for the data. */
const ANSWER_TIMEOUT_MS = 25_000;

type Answer = Extract<ToManager, { kind: "secret-given" }>;

export class IpcSecretDrivers implements SecretDrivers {
  readonly #tell: (message: FromManager) => void;
  readonly #clock: Clock;
  readonly #underWay = new Map<number, (answer: Answer | undefined) => void>();
  readonly #queue: (() => void)[] = [];
  #places = UNDER_WAY_MAX;
  #questions = 0;

  constructor(tell: (message: FromManager) => void, clock: Clock) {
    this.#tell = tell;
    this.#clock = clock;
  }

  async ask(driver: string, request: object): ReturnType<SecretDrivers["ask"]> {
    if (this.#places === 0) await this.#turn(driver);
    else this.#places -= 1;
    let answer: Answer | undefined;
    try {
      answer = await this.#question(driver, request);
    } finally {
      const next = this.#queue.shift();
      if (next === undefined) this.#places += 1;
      else next(); // the place passes on
    }
    if (answer === undefined) throw new UnavailableError(`no answer in ${ANSWER_TIMEOUT_MS / 1_000} s`);
    if (answer.refusal !== "") throw new UnavailableError(answer.refusal);
    return { data: Buffer.from(answer.data, "base64"), doNotReuse: answer.doNotReuse };
  }

  answered(answer: Answer): void {
    this.#underWay.get(answer.question)?.(answer);
  }

  #question(driver: string, request: object): Promise<Answer | undefined> {
    const question = ++this.#questions;
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(ANSWER_TIMEOUT_MS, () => end(undefined));
      const end = (answer: Answer | undefined): void => {
        timer.cancel();
        this.#underWay.delete(question);
        resolve(answer);
      };
      this.#underWay.set(question, end);
      this.#tell({ kind: "secret-wanted", question, driver, request });
    });
  }

  #turn(driver: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(TURN_TIMEOUT_MS, () => {
        this.#queue.splice(this.#queue.indexOf(begin), 1);
        reject(new UnavailableError(`${driver} is busy: no turn in ${TURN_TIMEOUT_MS / 1_000} s`));
      });
      const begin = (): void => {
        timer.cancel();
        resolve();
      };
      this.#queue.push(begin);
    });
  }
}
