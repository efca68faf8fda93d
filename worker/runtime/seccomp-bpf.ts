/**
 * Compiles a system call policy to a classic BPF program:
 * a search tree over the numbers of each instruction set.
 * Pure. Invariants: the instruction set is checked before any number is believed; every path ends in a
 * return; jumps go forward only.
 * Sources: seccomp(2), linux/bpf_common.h, linux/audit.h.
 *
 *   load arch -> for each known one: load number -> tree of "number >= k" -> allow | errno | argument tests
 *   -> allow | errno
 */
import { ResourceExhaustedError } from "../../base/errors/errors.js";
import type { ArgTest, SeccompPolicy } from "./seccomp-policy.js";
import { type SyscallTable, syscallTable } from "./syscall-numbers.js";

export interface BpfInstruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

export type SeccompArch = "x86_64" | "i386" | "aarch64";

const INSTRUCTIONS_MAX = 4096; // the kernel's BPF_MAXINSNS
const JUMP_MAX = 255;

const LD_W_ABS = 0x20;
const AND_K = 0x54;
const JA = 0x05;
const JEQ_K = 0x15;
const JGE_K = 0x35;
const RET_K = 0x06;

const RET_ALLOW = 0x7fff0000;
const RET_ERRNO = 0x00050000;
const RET_KILL_PROCESS = 0x80000000;

const OFFSET_NUMBER = 0;
const OFFSET_ARCH = 4;
const OFFSET_ARGS = 16;

const AUDIT_ARCH: Readonly<Record<SeccompArch, number>> = {
  x86_64: 0xc000003e,
  i386: 0x40000003,
  aarch64: 0xc00000b7,
};
/** Numbers from here on are x32's: nobody builds for it, and it doubles the ways into the kernel. */
const X32_BIT = 0x40000000;

const op = (code: number, k: number, jt = 0, jf = 0): BpfInstruction => ({ code, jt, jf, k });
const returns = (value: number): BpfInstruction[] => [op(RET_K, value)];
const allow = returns(RET_ALLOW);
const refuse = (errno: number): BpfInstruction[] => returns(RET_ERRNO | errno);

/** The native instruction set first, then the 32-bit one that the same kernel runs. */
export function hostArches(machine: string): readonly SeccompArch[] {
  if (machine === "x64") return ["x86_64", "i386"];
  return machine === "arm64" ? ["aarch64"] : [];
}

/** @throws {ResourceExhaustedError} above 4096 instructions. */
export function compileSeccomp(
  policy: SeccompPolicy,
  arches: readonly SeccompArch[],
): readonly BpfInstruction[] {
  const program: BpfInstruction[] = [op(LD_W_ABS, OFFSET_ARCH)];
  for (const arch of arches) {
    const section = compileArch(policy, arch);
    program.push(op(JEQ_K, AUDIT_ARCH[arch], 1, 0), op(JA, section.length), ...section);
  }
  program.push(...returns(RET_KILL_PROCESS));
  if (program.length > INSTRUCTIONS_MAX) {
    throw new ResourceExhaustedError(
      `seccomp filter has ${program.length} instructions, the kernel takes ${INSTRUCTIONS_MAX}`,
    );
  }
  return program;
}

/** As the kernel's struct sock_filter[], little endian. */
export function encodeBpf(program: readonly BpfInstruction[]): Uint8Array {
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, { code, jt, jf, k }] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(jt, index * 8 + 2);
    bytes.writeUInt8(jf, index * 8 + 3);
    bytes.writeUInt32LE(k >>> 0, index * 8 + 4);
  }
  return bytes;
}

/** From `start` (a number) to the next range's start. */
interface Range {
  readonly start: number;
  readonly leaf: readonly BpfInstruction[];
}

function compileArch(policy: SeccompPolicy, arch: SeccompArch): BpfInstruction[] {
  const table = syscallTable(arch);
  const leaves = leavesByNumber(policy, table);
  const refused = refuse(policy.refusedErrno);
  const last = Math.max(...table.values());
  const ranges: Range[] = [];
  const add = (start: number, leaf: readonly BpfInstruction[]): void => {
    if (ranges.length === 0 || !sameCode(ranges[ranges.length - 1]?.leaf ?? [], leaf))
      ranges.push({ start, leaf });
  };
  for (let number = 0; number <= last; number++) add(number, leaves.get(number) ?? refused);
  add(last + 1, refuse(policy.unknownErrno)); // also x32's numbers and -1, which a tracer sets to skip a call
  const tree = searchTree(ranges.filter((range) => range.start < X32_BIT));
  return [op(LD_W_ABS, OFFSET_NUMBER), ...tree];
}

function leavesByNumber(policy: SeccompPolicy, table: SyscallTable): Map<number, readonly BpfInstruction[]> {
  const alternatives = new Map<number, (readonly ArgTest[])[]>();
  const leaves = new Map<number, readonly BpfInstruction[]>();
  for (const rule of policy.rules) {
    for (const name of rule.names) {
      const number = table.get(name);
      if (number === undefined) continue; // not a call of this instruction set
      if (rule.action.kind === "errno") leaves.set(number, refuse(rule.action.errno));
      else if (rule.tests === undefined) leaves.set(number, allow);
      else alternatives.set(number, [...(alternatives.get(number) ?? []), rule.tests]);
    }
  }
  for (const [number, tests] of alternatives) {
    // an unconditional rule wins
    if (!leaves.has(number)) leaves.set(number, compileTests(tests, policy.refusedErrno));
  }
  return leaves;
}

/** Any of the alternatives allows; all tests of an alternative must hold. */
function compileTests(alternatives: readonly (readonly ArgTest[])[], refusedErrno: number): BpfInstruction[] {
  let code = refuse(refusedErrno);
  for (const tests of [...alternatives].reverse()) {
    let block: BpfInstruction[] = [...allow];
    for (const test of [...tests].reverse()) {
      // A failed test jumps over the rest of its alternative to the next one.
      const onTrue = test.op === "ne" ? block.length : 0;
      const onFalse = test.op === "ne" ? 0 : block.length;
      block = [
        op(LD_W_ABS, OFFSET_ARGS + 8 * test.index),
        ...(test.op === "masked-eq" ? [op(AND_K, test.mask ?? 0xffffffff)] : []),
        op(JEQ_K, test.value, onTrue, onFalse),
        ...block,
      ];
    }
    code = [...block, ...code];
  }
  return code;
}

function searchTree(ranges: readonly Range[]): BpfInstruction[] {
  const only = ranges[0];
  if (only === undefined) return [];
  if (ranges.length === 1) return [...only.leaf];
  const middle = ranges.length >> 1;
  const below = searchTree(ranges.slice(0, middle));
  const above = searchTree(ranges.slice(middle));
  const start = ranges[middle]?.start ?? 0; // middle is between 1 and length - 1
  if (below.length <= JUMP_MAX) return [op(JGE_K, start, below.length, 0), ...below, ...above];
  return [op(JGE_K, start, 0, 1), op(JA, below.length), ...below, ...above];
}

function sameCode(a: readonly BpfInstruction[], b: readonly BpfInstruction[]): boolean {
  return (
    a.length === b.length &&
    a.every((x, i) => x.code === b[i]?.code && x.k === b[i]?.k && x.jt === b[i]?.jt && x.jf === b[i]?.jf)
  );
}
