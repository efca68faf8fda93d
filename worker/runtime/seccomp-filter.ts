/**
 * Which seccomp filter a container gets, in the form its runtime takes. Pure.
 * crun takes a compiled program (saves it 10 ms of compiling per start); runc takes the rules as JSON. Custom
 * profiles go as JSON to both. Cache: one program per set of policy-changing capabilities, 64 at most,
 * the oldest dropped.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { OciSeccomp } from "./oci-types.js";
import { compileSeccomp, encodeBpf, hostArches, type SeccompArch } from "./seccomp-bpf.js";
import {
  type ArgTest,
  defaultSeccompPolicy,
  POLICY_CAPABILITIES,
  type SeccompPolicy,
} from "./seccomp-policy.js";
import { profileToOci } from "./seccomp-profile.js";

export interface SeccompChoice {
  /** Base64 of a sock_filter array. */
  readonly bpf: string | undefined;
  readonly json: OciSeccomp | undefined;
}

export type SeccompRequest =
  | { readonly kind: "default" }
  | { readonly kind: "unconfined" }
  | { readonly kind: "custom"; readonly profile: Uint8Array };

const CACHE_SIZE_MAX = 64;
const OCI_ARCH: Readonly<Record<SeccompArch, string>> = {
  x86_64: "SCMP_ARCH_X86_64",
  i386: "SCMP_ARCH_X86",
  aarch64: "SCMP_ARCH_AARCH64",
};

export class SeccompFilters {
  readonly #runtime: "crun" | "runc";
  readonly #arches: readonly SeccompArch[];
  readonly #cache = new Map<string, SeccompChoice>();

  /** @param machine as Node names it: x64, arm64. */
  constructor(runtime: "crun" | "runc", machine: string) {
    this.#runtime = runtime;
    this.#arches = hostArches(machine);
  }

  /** @throws {InvalidArgumentError} for a custom profile that cannot be read. */
  choose(request: SeccompRequest, capabilities: readonly string[]): SeccompChoice {
    if (request.kind === "unconfined") return { bpf: undefined, json: undefined };
    if (request.kind === "custom")
      return { bpf: undefined, json: parseProfile(request.profile, capabilities, this.#arches) };
    const deciding = POLICY_CAPABILITIES.filter((name) => capabilities.includes(name));
    const key = deciding.join(" ");
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    const made = this.#make(defaultSeccompPolicy(deciding));
    const oldest = this.#cache.keys().next().value;
    if (this.#cache.size >= CACHE_SIZE_MAX && oldest !== undefined) this.#cache.delete(oldest);
    this.#cache.set(key, made);
    return made;
  }

  #make(policy: SeccompPolicy): SeccompChoice {
    if (this.#runtime === "crun" && this.#arches.length > 0) {
      const program = encodeBpf(compileSeccomp(policy, this.#arches));
      return { bpf: Buffer.from(program).toString("base64"), json: undefined };
    }
    return { bpf: undefined, json: policyToOci(policy, this.#arches) };
  }
}

function policyToOci(policy: SeccompPolicy, arches: readonly SeccompArch[]): OciSeccomp {
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: policy.refusedErrno,
    ...(arches.length > 0 ? { architectures: arches.map((arch) => OCI_ARCH[arch]) } : {}),
    syscalls: policy.rules.map((rule) => ({
      names: rule.names,
      ...(rule.action.kind === "allow"
        ? { action: "SCMP_ACT_ALLOW" }
        : { action: "SCMP_ACT_ERRNO", errnoRet: rule.action.errno }),
      ...(rule.tests === undefined ? {} : { args: rule.tests.map(ociTest) }),
    })),
  };
}

function ociTest(test: ArgTest): NonNullable<OciSeccomp["syscalls"][number]["args"]>[number] {
  const { index, value } = test;
  if (test.op === "masked-eq")
    return { index, value: test.mask ?? 0xffffffff, valueTwo: value, op: "SCMP_CMP_MASKED_EQ" };
  return { index, value, op: test.op === "eq" ? "SCMP_CMP_EQ" : "SCMP_CMP_NE" };
}

function parseProfile(
  bytes: Uint8Array,
  capabilities: readonly string[],
  arches: readonly SeccompArch[],
): OciSeccomp {
  let profile: unknown;
  try {
    profile = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw new InvalidArgumentError("seccomp profile is not JSON", { cause: error });
  }
  return profileToOci(profile, { capabilities, arches });
}
