/**
 * Configs as registers: what one name of the config table may answer. Pure.
 * Created once per name while it is free, read, changed by compare-and-set (Docker's ?version=), removed.
 * Every write brings a value of its own, so a value stands for the version that held it.
 */
import type { Model } from "../support/history/operation.js";

export type ConfigInput =
  | { readonly kind: "read" | "remove"; readonly name: string }
  | { readonly kind: "create"; readonly name: string; readonly value: string }
  /** `expected`: the value that was read together with the version that is sent. */
  | { readonly kind: "update"; readonly name: string; readonly expected: string; readonly value: string };

export type ConfigOutput =
  /** undefined: no such config. */
  | { readonly kind: "value"; readonly value: string | undefined }
  | { readonly kind: "done" }
  /** create: the name is taken; update: out of sequence. */
  | { readonly kind: "conflict" }
  /** remove, update: no such config. */
  | { readonly kind: "absent" };

type State = string | undefined;

export const configModel: Model<State, ConfigInput, ConfigOutput> = {
  initial: undefined,
  step(state, input, output) {
    const [answer, next] = answerOf(state, input);
    return output === undefined || (output.kind === answer.kind && valueIn(output) === valueIn(answer))
      ? [next]
      : [];
  },
  keyOf: (state) => state ?? "",
  partition: ({ name }) => name,
};

function answerOf(state: State, input: ConfigInput): readonly [ConfigOutput, State] {
  switch (input.kind) {
    case "read":
      return [{ kind: "value", value: state }, state];
    case "create":
      return state === undefined ? [{ kind: "done" }, input.value] : [{ kind: "conflict" }, state];
    case "update":
      if (state === undefined) return [{ kind: "absent" }, state];
      return state === input.expected ? [{ kind: "done" }, input.value] : [{ kind: "conflict" }, state];
    case "remove":
      return state === undefined ? [{ kind: "absent" }, state] : [{ kind: "done" }, undefined];
  }
}

const valueIn = (output: ConfigOutput): State => (output.kind === "value" ? output.value : undefined);
