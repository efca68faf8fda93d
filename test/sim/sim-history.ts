/**
 * What the clients of a run asked and heard, and whether one register could have answered so. Pure.
 * Invariant: an operation ends once: done, surely not done (then it is no part of the history), or unknown.
 * Source: checker in test/support/history (Wing and Gong; Lowe).
 */
import { checkLinearizable, describeFailure, type Operation } from "../support/history/linearizability.js";
import { type RegisterInput, type RegisterOutput, registerModel } from "../support/history/register-model.js";
import { SafetyViolation } from "./sim-checker.js";

/** Steps of the search per key: beyond it the history is not judged, which the run counts. */
const STEPS_MAX = 200_000;

interface Call {
  readonly client: number;
  readonly input: RegisterInput;
  readonly callAt: number;
  end: { readonly output: RegisterOutput; readonly returnAt: number } | "refused" | undefined;
}

export class SimHistory {
  readonly #calls: Call[] = [];
  /** Keys that were too tangled to judge. */
  undecided = 0;

  /** @returns how the call ends; what never does has an unknown outcome. */
  call(client: number, input: RegisterInput, nowMs: number): SimCall {
    const call: Call = { client, input, callAt: nowMs, end: undefined };
    this.#calls.push(call);
    return {
      answered: (output, returnAt) => {
        call.end ??= { output, returnAt };
      },
      refused: () => {
        call.end ??= "refused";
      },
    };
  }

  get answered(): number {
    return this.#calls.filter(({ end }) => typeof end === "object").length;
  }

  /** @throws {SafetyViolation} no register could have answered so. */
  check(): void {
    const operations: Operation<RegisterInput, RegisterOutput>[] = [];
    for (const { client, input, callAt, end } of this.#calls) {
      if (end === "refused" || (end === undefined && input.kind === "read")) continue;
      const { output, returnAt } = end ?? { output: undefined, returnAt: Number.POSITIVE_INFINITY };
      operations.push({ client, input, callAt, output, returnAt });
    }
    const result = checkLinearizable(registerModel(0), operations, { stepsMax: STEPS_MAX });
    if (result.ok) return;
    if (result.reason === "violation") throw new SafetyViolation("linearizability", describeFailure(result));
    this.undecided += 1;
  }
}

export interface SimCall {
  answered(output: RegisterOutput, returnAt: number): void;
  refused(): void;
}
