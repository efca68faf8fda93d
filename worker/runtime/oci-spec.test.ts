/** The pure builders: configuration, users, capabilities, limits. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CAPABILITIES, capabilitySet, DEFAULT_CAPABILITIES } from "./capabilities.js";
import { ociResources } from "./oci-resources.js";
import { buildOciSpec, type OciSpecInput } from "./oci-spec.js";
import { resolveUser } from "./oci-user.js";
import { runtimeLayout } from "./runtime-layout.js";

const input: OciSpecInput = {
  rootfs: "/r",
  readOnly: false,
  args: ["true"],
  env: [],
  cwd: "",
  user: { uid: 0, gid: 0, additionalGids: [] },
  tty: false,
  hostname: "h",
  capabilities: ["CAP_CHOWN"],
  ulimits: [],
  sysctls: {},
  noNewPrivileges: false,
  oomScoreAdj: 0,
  resources: { memoryBytes: 0, swapBytes: undefined, nanoCpus: 0, pidsLimit: 0 },
  cgroupPath: "/p/id",
  network: { kind: "none" },
  mounts: [],
  seccompBpf: "AAAA",
  seccomp: undefined,
};
const bind = (destination: string): OciSpecInput["mounts"][number] => ({
  destination,
  type: "bind",
  source: "/s",
  options: [],
});

describe("OCI configuration", () => {
  it("equal input gives equal JSON", () => {
    assert.equal(JSON.stringify(buildOciSpec(input)), JSON.stringify(buildOciSpec({ ...input })));
  });

  it("the network decides its namespace", () => {
    const kinds = (network: OciSpecInput["network"]): unknown =>
      buildOciSpec({ ...input, network }).linux.namespaces.find((namespace) => namespace.type === "network");
    assert.deepEqual(kinds({ kind: "none" }), { type: "network" });
    assert.deepEqual(kinds({ kind: "netns", path: "/run/n" }), { type: "network", path: "/run/n" });
    assert.equal(kinds({ kind: "host" }), undefined);
  });

  it("mounts come after the defaults, parents before children, and replace a default at their place", () => {
    const spec = buildOciSpec({
      ...input,
      mounts: [bind("/a/b/c"), bind("/a"), bind("/dev/shm"), bind("/a/./x/../b")],
    });
    const targets = spec.mounts.map((mount) => mount.destination);
    assert.deepEqual(targets.slice(-4), ["/a", "/a/b", "/dev/shm", "/a/b/c"]);
    assert.equal(targets.filter((target) => target === "/dev/shm").length, 1);
  });

  it("a doubled target, the root as target, and a relative one are refused", () => {
    assert.throws(
      () => buildOciSpec({ ...input, mounts: [bind("/a"), bind("/a/")] }),
      /Duplicate mount point: \/a/,
    );
    assert.throws(() => buildOciSpec({ ...input, mounts: [bind("/x/..")] }), /destination can't be '\/'/);
    assert.throws(() => buildOciSpec({ ...input, mounts: [bind("a")] }), /absolute path, got "a"/);
  });

  it("only root holds capabilities without asking for them", () => {
    assert.deepEqual(buildOciSpec(input).process.capabilities.effective, ["CAP_CHOWN"]);
    const user = buildOciSpec({ ...input, user: { uid: 5, gid: 5, additionalGids: [] } }).process
      .capabilities;
    assert.deepEqual([user.effective, user.permitted, user.bounding], [[], [], ["CAP_CHOWN"]]);
  });

  it("sysctls outside the container's namespaces are refused", () => {
    assert.deepEqual(buildOciSpec({ ...input, sysctls: { "net.core.somaxconn": "9" } }).linux.sysctl, {
      "net.ipv4.ip_unprivileged_port_start": "0",
      "net.ipv4.ping_group_range": "0 2147483647",
      "net.core.somaxconn": "9",
    });
    assert.throws(
      () => buildOciSpec({ ...input, sysctls: { "vm.swappiness": "1" } }),
      /sysctl "vm.swappiness" is not in a separate kernel namespace/,
    );
    assert.throws(
      () => buildOciSpec({ ...input, network: { kind: "host" }, sysctls: { "net.core.somaxconn": "9" } }),
      /not allowed in host network namespace/,
    );
  });

  it("ulimits are checked", () => {
    const ulimits = (soft: number, hard: number, name = "nofile"): unknown =>
      buildOciSpec({ ...input, ulimits: [{ name, soft, hard }] }).process.rlimits;
    assert.deepEqual(ulimits(1, 2), [{ type: "RLIMIT_NOFILE", soft: 1, hard: 2 }]);
    assert.throws(() => ulimits(3, 2), /soft limit must be less than or equal to hard limit: 3 > 2/);
    assert.throws(() => ulimits(1, 2, "nofiles"), /invalid ulimit type: nofiles/);
  });
});

describe("limits", () => {
  const none = { memoryBytes: 0, swapBytes: undefined, nanoCpus: 0, pidsLimit: 0 };
  it("nothing asked, nothing set but the device list", () => {
    assert.deepEqual(Object.keys(ociResources(none)), ["devices"]);
    assert.deepEqual(ociResources(none).devices[0], { allow: false, access: "rwm" });
  });
  it("swap is twice the memory unless given", () => {
    const memoryBytes = 64 << 20;
    assert.deepEqual(ociResources({ ...none, memoryBytes }).memory, {
      limit: memoryBytes,
      swap: 2 * memoryBytes,
    });
    assert.deepEqual(ociResources({ ...none, memoryBytes, swapBytes: -1 }).memory, {
      limit: memoryBytes,
      swap: -1,
    });
  });
  it("a small share of a core keeps the kernel's least quota", () => {
    assert.deepEqual(ociResources({ ...none, nanoCpus: 1e9 }).cpu, { quota: 100_000, period: 100_000 });
    assert.deepEqual(ociResources({ ...none, nanoCpus: 1 }).cpu, { quota: 1_000, period: 100_000 });
  });
});

describe("capability set", () => {
  it("ALL comes first, single names last", () => {
    assert.deepEqual(capabilitySet({ add: [], drop: [] }).length, DEFAULT_CAPABILITIES.length);
    assert.deepEqual(capabilitySet({ add: ["net_admin"], drop: ["ALL"] }), ["CAP_NET_ADMIN"]);
    assert.ok(!capabilitySet({ add: ["ALL"], drop: ["CAP_SYS_ADMIN"] }).includes("CAP_SYS_ADMIN"));
    assert.equal(capabilitySet({ add: ["ALL"], drop: [] }, CAPABILITIES.slice(0, 38)).length, 38);
    assert.throws(
      () => capabilitySet({ add: ["CAP_NOPE"], drop: [] }),
      /invalid CapAdd: unknown capability: "CAP_NOPE"/,
    );
  });
});

describe("user resolution", () => {
  const files = {
    passwd: "# comment\nroot:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001::/users/bob:\n77:x:88:99::/n:\nbad",
    group: "root:x:0:\nstaff:x:50:bob,eve\ndocker:x:60:bob\n",
  };
  const resolve = (user: string, groups: string[] = []): ReturnType<typeof resolveUser> =>
    resolveUser({ user, groups }, files);

  it("nothing means root", () => {
    assert.deepEqual(resolve(""), { uid: 0, gid: 0, additionalGids: [0], home: "/root" });
  });
  it("a name brings its group and memberships; a group in the request replaces them", () => {
    assert.deepEqual(resolve("bob"), {
      uid: 1000,
      gid: 1001,
      additionalGids: [50, 60, 1001],
      home: "/users/bob",
    });
    assert.deepEqual(resolve("bob:staff"), { uid: 1000, gid: 50, additionalGids: [50], home: "/users/bob" });
    assert.deepEqual(resolve("bob:7", ["docker", "9"]), {
      uid: 1000,
      gid: 7,
      additionalGids: [7, 9, 60],
      home: "/users/bob",
    });
  });
  it("numbers need no entry, a name that looks like a number wins", () => {
    assert.deepEqual(resolve("4000:4001"), { uid: 4000, gid: 4001, additionalGids: [4001], home: "/" });
    assert.equal(resolve("1000").gid, 1001);
    assert.equal(resolve("77").uid, 88);
  });
  it("unknown names and impossible ids are refused", () => {
    assert.throws(() => resolve("eve"), /unable to find user eve/);
    assert.throws(() => resolve("bob:nope"), /unable to find group nope/);
    assert.throws(() => resolve("4294967296"), /uids and gids must be in range 0-2147483647/);
    assert.throws(() => resolve("-1"), /unable to find user -1/);
  });
});

describe("runtime layout", () => {
  it("a run folder too long for sockets is refused", () => {
    assert.match(runtimeLayout("/run/skein").bundleDir("ab".repeat(32)), /^\/run\/skein\/c\/(ab){8}$/);
    assert.throws(() => runtimeLayout(`/${"x".repeat(90)}`), /bytes too long for unix sockets/);
  });
});
