/** The compiled filter against the policy it came from, by an interpreter. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runBpf, type SyscallFacts } from "./bpf-interpreter.js";
import { DEFAULT_CAPABILITIES } from "./capabilities.js";
import { compileSeccomp, encodeBpf, hostArches, type SeccompArch } from "./seccomp-bpf.js";
import { SeccompFilters } from "./seccomp-filter.js";
import { defaultSeccompPolicy } from "./seccomp-policy.js";
import { syscallTable } from "./syscall-numbers.js";

const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;
const KILL = 0x80000000;
const ARCH = { x86_64: 0xc000003e, i386: 0x40000003, aarch64: 0xc00000b7 };

const program = compileSeccomp(defaultSeccompPolicy(DEFAULT_CAPABILITIES), ["x86_64", "i386"]);
const arm = compileSeccomp(defaultSeccompPolicy(DEFAULT_CAPABILITIES), ["aarch64"]);

function answer(
  name: string,
  args: readonly bigint[] = [],
  arch: SeccompArch = "x86_64",
  filter = program,
): number {
  const number = syscallTable(arch).get(name);
  assert.ok(number !== undefined, `${name} is in the table of ${arch}`);
  return runBpf(filter, { arch: ARCH[arch], number, args });
}

describe("default seccomp filter", () => {
  it("what programs need every day is allowed", () => {
    for (const name of [
      "read",
      "write",
      "openat",
      "execve",
      "mmap",
      "futex",
      "epoll_pwait",
      "exit_group",
      "chroot",
      "mknod",
    ]) {
      assert.equal(answer(name), ALLOW, name);
      if (name !== "mknod") assert.equal(answer(name, [], "aarch64", arm), ALLOW, `${name} on aarch64`);
    }
    for (const name of ["mmap2", "socketcall", "fstat64", "_llseek"])
      assert.equal(answer(name, [], "i386"), ALLOW, `${name} on i386`);
  });

  it("what reaches out of the container is refused", () => {
    const refused =
      "mount umount2 unshare setns pivot_root keyctl add_key request_key bpf perf_event_open userfaultfd " +
      "io_uring_setup " +
      "kexec_load init_module reboot swapon open_by_handle_at settimeofday";
    for (const name of refused.split(" ")) assert.equal(answer(name), EPERM, name);
    for (const name of ["mount", "unshare", "keyctl"]) {
      assert.equal(answer(name, [], "i386"), EPERM, `${name} on i386`);
      assert.equal(answer(name, [], "aarch64", arm), EPERM, `${name} on aarch64`);
    }
  });

  it("every number gets what the rules say", () => {
    const policy = defaultSeccompPolicy(DEFAULT_CAPABILITIES);
    const plain = new Set(
      policy.rules.filter((r) => r.tests === undefined && r.action.kind === "allow").flatMap((r) => r.names),
    );
    const special = new Set(
      policy.rules.filter((r) => r.tests !== undefined || r.action.kind === "errno").flatMap((r) => r.names),
    );
    for (const arch of ["x86_64", "i386", "aarch64"] as const) {
      const filter = arch === "aarch64" ? arm : program;
      for (const [name, number] of syscallTable(arch)) {
        if (special.has(name)) continue;
        const facts: SyscallFacts = { arch: ARCH[arch], number, args: [] };
        assert.equal(runBpf(filter, facts), plain.has(name) ? ALLOW : EPERM, `${arch} ${name}`);
      }
    }
  });

  it("every name in the rules is a call of some instruction set", () => {
    const known = new Set(
      (["x86_64", "i386", "aarch64"] as const).flatMap((arch) => [...syscallTable(arch).keys()]),
    );
    for (const rule of defaultSeccompPolicy(["CAP_SYS_ADMIN", ...DEFAULT_CAPABILITIES]).rules) {
      for (const name of rule.names) assert.ok(known.has(name), name);
    }
  });

  it("clone is allowed without new namespaces, clone3 does not exist", () => {
    assert.equal(answer("clone", [0x1200011n]), ALLOW);
    for (const flag of [
      0x20000n,
      0x2000000n,
      0x4000000n,
      0x8000000n,
      0x10000000n,
      0x20000000n,
      0x40000000n,
    ]) {
      assert.equal(answer("clone", [flag | 17n]), EPERM, flag.toString(16));
    }
    assert.equal(answer("clone3"), ENOSYS);
  });

  it("sockets to the hypervisor are refused, also with high bits set", () => {
    assert.equal(answer("socket", [2n, 1n, 0n]), ALLOW);
    assert.equal(answer("socket", [40n]), EPERM);
    assert.equal(answer("socket", [0x1_0000_0028n]), EPERM);
  });

  it("personality takes the five known values only", () => {
    for (const value of [0n, 8n, 0x20000n, 0x20008n, 0xffffffffn])
      assert.equal(answer("personality", [value]), ALLOW);
    assert.equal(answer("personality", [0x40000n]), EPERM); // address space without randomisation
  });

  it("an unknown call does not exist, an unknown instruction set ends the process", () => {
    assert.equal(runBpf(program, { arch: ARCH.x86_64, number: 467, args: [] }), ENOSYS);
    assert.equal(runBpf(program, { arch: ARCH.x86_64, number: 0xffffffff, args: [] }), ENOSYS);
    assert.equal(runBpf(program, { arch: ARCH.x86_64, number: 0x40000000, args: [] }), ENOSYS); // x32
    assert.equal(runBpf(program, { arch: ARCH.aarch64, number: 0, args: [] }), KILL);
  });

  it("capabilities open what they stand for", () => {
    const admin = compileSeccomp(defaultSeccompPolicy([...DEFAULT_CAPABILITIES, "CAP_SYS_ADMIN"]), [
      "x86_64",
    ]);
    for (const name of ["mount", "unshare", "setns", "clone3"])
      assert.equal(answer(name, [], "x86_64", admin), ALLOW, name);
    assert.equal(answer("clone", [0x20000n], "x86_64", admin), ALLOW);
    assert.equal(answer("reboot", [], "x86_64", admin), EPERM);
    const bare = compileSeccomp(defaultSeccompPolicy([]), ["x86_64"]);
    assert.equal(answer("chroot", [], "x86_64", bare), EPERM);
  });

  it("the program is small, and eight bytes per instruction", () => {
    assert.ok(program.length < 1500, `${program.length} instructions`);
    assert.equal(encodeBpf(program).length, program.length * 8);
    assert.deepEqual(hostArches("x64"), ["x86_64", "i386"]);
  });

  it("containers that agree on deciding capabilities share one filter", () => {
    const filters = new SeccompFilters("crun", "x64");
    const first = filters.choose({ kind: "default" }, DEFAULT_CAPABILITIES);
    assert.equal(filters.choose({ kind: "default" }, ["CAP_SYS_CHROOT"]), first);
    assert.notEqual(filters.choose({ kind: "default" }, []), first);
    assert.equal(filters.choose({ kind: "unconfined" }, []).bpf, undefined);
  });

  it("a custom profile is decided by capabilities, and unknown keys are refused", () => {
    const filters = new SeccompFilters("crun", "x64");
    const profile = {
      defaultAction: "SCMP_ACT_ERRNO",
      archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] }],
      syscalls: [
        { names: ["read"], action: "SCMP_ACT_ALLOW" },
        { names: ["mount"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_SYS_ADMIN"] } },
        { names: ["clone"], action: "SCMP_ACT_ALLOW", excludes: { caps: ["CAP_SYS_ADMIN"] } },
      ],
    };
    const custom = (value: unknown): Parameters<SeccompFilters["choose"]>[0] => ({
      kind: "custom",
      profile: Buffer.from(JSON.stringify(value)),
    });
    const json = filters.choose(custom(profile), []).json;
    assert.deepEqual(json?.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    assert.deepEqual(
      json?.syscalls.map((rule) => rule.names[0]),
      ["read", "clone"],
    );
    assert.throws(() => filters.choose(custom({ ...profile, typo: 1 }), []), /unknown key "typo"/);
  });
});
