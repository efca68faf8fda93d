/**
 * Runs the few classic BPF instructions our filters use: the tests' stand-in for the kernel.
 * Pure. Throws on anything the kernel's checker would refuse: unknown instructions,
 * running off the end, loads outside the data.
 */
import { InvariantError, invariant } from "../../base/errors/invariant.js";
import type { BpfInstruction } from "./seccomp-bpf.js";

export interface SyscallFacts {
  readonly arch: number;
  readonly number: number;
  readonly args: readonly bigint[];
}

/** @returns the filter's 32-bit answer. */
export function runBpf(program: readonly BpfInstruction[], facts: SyscallFacts): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(facts.number >>> 0, 0);
  data.writeUInt32LE(facts.arch >>> 0, 4);
  for (const [index, value] of facts.args.entries())
    data.writeBigUInt64LE(BigInt.asUintN(64, value), 16 + index * 8);
  let accumulator = 0;
  for (let at = 0; at < program.length; at++) {
    const instruction = program[at];
    invariant(instruction !== undefined, "a program counter inside the program");
    const { code, jt, jf, k } = instruction;
    invariant(jt <= 255 && jf <= 255, "jump offsets that fit a byte");
    if (code === 0x20) accumulator = data.readUInt32LE(k);
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x05) at += k;
    else if (code === 0x15) at += accumulator === k >>> 0 ? jt : jf;
    else if (code === 0x35) at += accumulator >= k >>> 0 ? jt : jf;
    else if (code === 0x06) return k >>> 0;
    else throw new InvariantError(`unknown BPF instruction 0x${code.toString(16)} at ${at}`);
  }
  throw new InvariantError("the program ran off its end");
}
