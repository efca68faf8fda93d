/**
 * Parsers of what users and images write: seccomp profiles, passwd and group, device rules, sets of CPUs,
 * namespace
 * modes. Whatever comes, they answer or refuse with words.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { InvalidArgumentError, SkeinError } from "../../base/errors/errors.js";
import { holds } from "../../test/fuzz/holds.js";
import { devicePermissions, deviceRule } from "./device-rules.js";
import { parseIdSet } from "./id-set.js";
import type { KernelFacts } from "./kernel-facts.js";
import { ociMounts } from "./oci-mounts.js";
import { cgroupnsMode, ipcMode, pidMode } from "./oci-namespaces.js";
import { absolutePath } from "./oci-path.js";
import { ociResources } from "./oci-resources.js";
import { resolveUser } from "./oci-user.js";
import { admitResources } from "./resource-admission.js";
import { SeccompFilters } from "./seccomp-filter.js";

const refusesWithWords = (run: () => void): void => {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof SkeinError && error.message.length > 0, String(error));
  }
};

describe("fuzz", () => {
  it("fuzz: seccomp profiles", () => {
    const part = fc.jsonValue({ maxDepth: 3 });
    const rule = fc.record(
      {
        names: fc.oneof(fc.array(fc.string()), part),
        action: fc.oneof(fc.constantFrom("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"), part),
        args: part,
        includes: part,
        excludes: part,
        errnoRet: part,
      },
      { requiredKeys: ["action"] },
    );
    const profile = fc.record(
      {
        defaultAction: fc.oneof(fc.constant("SCMP_ACT_ERRNO"), part),
        syscalls: fc.oneof(fc.array(rule), part),
        archMap: part,
      },
      { requiredKeys: ["defaultAction"] },
    );
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc.oneof(profile, part).map((value) => new Uint8Array(Buffer.from(JSON.stringify(value) ?? "null"))),
    );
    const filters = new SeccompFilters("crun", "x64");
    holds(
      fc.property(bytes, (given) =>
        refusesWithWords(() => void filters.choose({ kind: "custom", profile: given }, ["CAP_CHOWN"])),
      ),
      { numRuns: 2_000 },
    );
  });

  it("fuzz: passwd and group of an image", () => {
    const line = fc.oneof(
      fc.string(),
      fc
        .tuple(fc.string(), fc.string(), fc.oneof(fc.nat().map(String), fc.string()), fc.nat().map(String))
        .map((fields) => fields.join(":")),
    );
    const file = fc.array(line).map((lines) => lines.join("\n"));
    holds(
      fc.property(file, file, fc.string(), fc.array(fc.string()), (passwd, group, user, groups) =>
        refusesWithWords(() => {
          const resolved = resolveUser({ user, groups }, { passwd, group });
          for (const id of [resolved.uid, resolved.gid, ...resolved.additionalGids])
            assert.ok(Number.isInteger(id) && id >= 0 && id < 2 ** 31);
        }),
      ),
      { numRuns: 2_000 },
    );
  });

  it("fuzz: device rules, permissions, sets of CPUs, modes, paths", () => {
    holds(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[acb*] [0-9*]+:[0-9*]+ [rwm]+$/)), (text) => {
        for (const parse of [deviceRule, devicePermissions, ipcMode, pidMode, parseIdSet])
          refusesWithWords(() => void parse(text));
        refusesWithWords(() => void cgroupnsMode(text, 2));
        refusesWithWords(() => assert.doesNotMatch(`${absolutePath(text, "path")}/`, /\/\.\.?\//));
      }),
      { numRuns: 2_000 },
    );
  });
});

const KERNEL: KernelFacts = {
  cgroupVersion: 2,
  cpus: 2,
  cpusetCpus: "0-1",
  cpusetMems: "0",
  memoryLimit: true,
  memoryReservation: true,
  swapLimit: false,
  memorySwappiness: false,
  oomKillDisable: false,
  cpuShares: true,
  cpuQuota: true,
  cpuRealtime: false,
  cpuset: true,
  pidsLimit: true,
  blkioWeight: false,
  blkioWeightDevice: false,
  blkioRates: true,
  apparmor: false,
  apparmorProfiles: [],
  selinux: false,
  seccomp: true,
  capabilities: [],
};
const NONE = { memoryBytes: 0, swapBytes: undefined, nanoCpus: 0, pidsLimit: 0 };

describe("admission of limits", () => {
  it("what the kernel lacks is taken out, with Docker's words", () => {
    const { resources, warnings } = admitResources(
      { ...NONE, memoryBytes: 64 << 20, memorySwappiness: 10, oomKillDisable: true, blkioWeight: 10 },
      KERNEL,
    );
    const lacks = (what: string, then: string): string =>
      `Your kernel does not support ${what} or the cgroup is not mounted. ${then}`;
    assert.deepEqual(warnings, [
      lacks("swap limit capabilities", "Memory limited without swap."),
      lacks("memory swappiness capabilities", "Memory swappiness discarded."),
      "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
      lacks("Block I/O weight", "Weight discarded."),
    ]);
    assert.deepEqual(ociResources(resources).memory, { limit: 64 << 20, swap: -1 });
    assert.equal(ociResources(resources).blockIO, undefined);
  });

  it("what no kernel could do is refused", () => {
    const refused = (asked: Partial<Parameters<typeof admitResources>[0]>, words: RegExp): void =>
      assert.throws(() => admitResources({ ...NONE, ...asked }, { ...KERNEL, blkioWeight: true }), words);
    refused({ memoryBytes: 1024 }, /Minimum memory limit allowed is 6MB/);
    refused({ memoryBytes: 64 << 20, swapBytes: 1 }, /memoryswap limit should be larger than memory limit/);
    refused({ swapBytes: 64 << 20 }, /always set the Memory limit when using Memoryswap/);
    refused({ memorySwappiness: 200 }, /Invalid value: 200, valid memory swappiness range is 0-100/);
    refused({ nanoCpus: 1e9, cpuQuota: 5_000 }, /Nano CPUs and CPU Quota cannot both be set/);
    refused({ nanoCpus: 3e9 }, /Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available/);
    refused({ cpuPeriod: 10 }, /CPU cfs period can not be less than 1ms/);
    refused({ cpusetCpus: "1-2" }, /Requested CPUs are not available - requested 1-2, available: 0-1/);
    refused({ cpuRealtimeRuntime: 1 }, /does not support CPU real-time scheduler/);
    const able = { ...KERNEL, blkioWeight: true }; // else it is discarded before it is looked at
    assert.throws(
      () => admitResources({ ...NONE, blkioWeight: 5 }, able),
      /Range of blkio weight is from 10 to/,
    );
  });
});

describe("mounts", () => {
  it("one asked for above a default comes before what is below it", () => {
    const mount = { destination: "/sys", type: "bind", source: "/sys", options: [] };
    const input = { privileged: false, readOnly: false, shmSizeBytes: 0 };
    const targets = ociMounts({ ...input, mounts: [mount] }).map(({ destination }) => destination);
    assert.ok(targets.indexOf("/sys") < targets.indexOf("/sys/fs/cgroup"));
    assert.throws(() => ociMounts({ ...input, mounts: [mount, mount] }), InvalidArgumentError);
  });
});
