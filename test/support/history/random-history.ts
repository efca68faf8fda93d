/**
 * Histories for tests of the checker: made from one real order of operations, so they are right by
 * construction. Pure. Each operation takes effect at its own instant; its interval is drawn around it,
 * clients never overlap themselves.
 */
import type { Random } from "../../../base/random/random.js";
import type { Operation } from "./operation.js";
import type { RegisterInput, RegisterOutput, RegisterValue } from "./register-model.js";

export interface RandomHistoryOptions {
  readonly operations: number;
  readonly clients: number;
  readonly keys: number;
  /** Part of the writes whose answer is lost, half of which never took effect. @default 0 */
  readonly unknown?: number;
}

export type RegisterOperation = Operation<RegisterInput, RegisterOutput>;

/** Values are unique per history, so that a wrong read shows. */
export function randomRegisterHistory(random: Random, options: RandomHistoryOptions): RegisterOperation[] {
  const { operations, clients, keys, unknown = 0 } = options;
  const registers = new Map<string, RegisterValue>();
  const freeAt = new Array<number>(clients).fill(0);
  const history: RegisterOperation[] = [];
  for (let i = 0; i < operations; i++) {
    const effectAt = (i + 1) * 10;
    const client = pickClient(random, freeAt, effectAt);
    if (client === undefined) continue; // all are busy at this instant
    const callAt = Math.max(freeAt[client] ?? 0, effectAt - random.int(1, 10 * clients + 1));
    const returnAt = effectAt + random.int(1, 10 * clients + 1);
    freeAt[client] = returnAt + 1;
    const key = `k${random.int(0, keys)}`;
    const input = drawInput(random, key, registers.get(key), `v${i}`);
    const isLost = input.kind !== "read" && random.float() < unknown;
    if (isLost && random.float() < 0.5) {
      history.push({ client, input, output: undefined, callAt, returnAt: Number.POSITIVE_INFINITY });
      continue;
    }
    const output = apply(registers, input);
    history.push(
      isLost
        ? { client, input, output: undefined, callAt, returnAt: Number.POSITIVE_INFINITY }
        : { client, input, output, callAt, returnAt },
    );
  }
  return history;
}

function pickClient(random: Random, freeAt: readonly number[], effectAt: number): number | undefined {
  const free = freeAt.flatMap((at, client) => (at < effectAt ? [client] : []));
  return free[random.int(0, Math.max(1, free.length))];
}

function drawInput(random: Random, key: string, now: RegisterValue, value: string): RegisterInput {
  const kind = random.int(0, 4);
  if (kind <= 1) return { kind: "read", key };
  if (kind === 2) return { kind: "write", key, value };
  return { kind: "compare-and-set", key, expected: random.float() < 0.7 ? now : "other", value };
}

function apply(registers: Map<string, RegisterValue>, input: RegisterInput): RegisterOutput {
  const now = registers.get(input.key);
  if (input.kind === "read") return { kind: "read", value: now };
  if (input.kind === "compare-and-set" && now !== input.expected) return { kind: "mismatch" };
  registers.set(input.key, input.value);
  return { kind: input.kind === "write" ? "written" : "set" };
}
