/**
 * Registers by key: read, write, compare-and-set. Pure. One partition per key.
 * Source: the models of Porcupine's and Knossos's tests, made by their description.
 */
import type { Model } from "./operation.js";

export type RegisterValue = string | number | undefined;

export type RegisterInput =
  | { readonly kind: "read"; readonly key: string }
  | { readonly kind: "write"; readonly key: string; readonly value: RegisterValue }
  | {
      readonly kind: "compare-and-set";
      readonly key: string;
      readonly expected: RegisterValue;
      readonly value: RegisterValue;
    };

export type RegisterOutput =
  | { readonly kind: "read"; readonly value: RegisterValue }
  | { readonly kind: "written" }
  /** A mismatch found another value than the expected one; an effect it has not. */
  | { readonly kind: "set" | "mismatch" };

/** A register that holds `initial` (@default undefined: nothing) until it is written. */
export function registerModel(initial?: RegisterValue): Model<RegisterValue, RegisterInput, RegisterOutput> {
  return {
    initial,
    step(state, input, output) {
      switch (input.kind) {
        case "read":
          return output === undefined || (output.kind === "read" && output.value === state) ? [state] : [];
        case "write":
          return output === undefined || output.kind === "written" ? [input.value] : [];
        case "compare-and-set": {
          const matches = state === input.expected;
          if (output !== undefined && output.kind !== (matches ? "set" : "mismatch")) return [];
          return [matches ? input.value : state];
        }
      }
    },
    keyOf: (state) => `${typeof state} ${state}`,
    partition: ({ key }) => key,
  };
}
