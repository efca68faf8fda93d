/**
 * Rulesets on a real kernel: a table that was changed step by step equals one that was made at once.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import type { NetlinkSocket, NftContext } from "../../base/linux/linux-ports.js";
import type { Random } from "../../base/random/random.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { MESH_IPV4, MESH_IPV6 } from "../../net-overlay/balance/mesh-family.js";
import { renderMeshRuleset } from "../../net-overlay/balance/mesh-ruleset.js";
import { NFT_TABLE } from "../../net-overlay/balance/nft-text.js";
import { LinuxMeshTable } from "../../net-overlay/dataplane/linux-mesh-table.js";
import type { MeshPlan, MeshPort } from "../../net-overlay/endpoints/mesh-plan.js";
import { BalancePolicy } from "../../proto/gen/skein/v1/types.js";

const STEPS = 60;
const POLICIES = [BalancePolicy.ROUND_ROBIN, BalancePolicy.SOURCE_HASH, BalancePolicy.LOCAL_FIRST];
const linux = await openKoffiLinux();
const dir = mkdtempSync(join(tmpdir(), "skein-nft-"));
const paths: string[] = [];

function freshNft(): NftContext {
  const path = join(dir, `n${paths.length}`);
  linux.createNetns(path);
  paths.push(path);
  return linux.nft(path);
}

function freshTable(): { nft: NftContext; socket: NetlinkSocket } {
  const nft = freshNft();
  return { nft, socket: linux.netlink(paths.at(-1), "netfilter") };
}

/** What the kernel can be told without text. */
function withoutAdmission(port: MeshPort): MeshPort {
  const { hostAddresses: _places, allowedSources: _sources, isSnat: _snat, ...rest } = port;
  return rest;
}

after(async () => {
  for (const path of paths) await linux.deleteNetns(path);
  rmSync(dir, { recursive: true });
});

/** The table as text in which neither the order of elements nor of chains matters. */
function listed(nft: NftContext, table: string): string[] {
  return nft
    .list(`list table ${table}`)
    .replaceAll(/\s+/g, " ")
    .replaceAll(
      /elements = \{([^}]*)\}/g,
      (_all, list: string) =>
        `elements = {${list
          .split(",")
          .map((item) => item.trim())
          .sort()
          .join()}}`,
    )
    .split(/ (?=chain |map |set )/)
    .map((block) => block.trim().replace(/[ }]+$/, ""))
    .sort();
}

function some<T>(random: Random, from: readonly T[]): T[] {
  return from.filter(() => random.float() < 0.5);
}

function randomMesh(random: Random): MeshPlan {
  const tasks = Array.from({ length: 4 }, (_, i) => `100.64.1.${i + 2}`);
  // The rules of SCTP load also where the kernel itself does not speak it.
  const protocols = new Map([
    [5353, "udp" as const],
    [3868, "sctp" as const],
  ]);
  const ports = some(random, [80, 81, 443, 5353, 3868]).map((publishedPort) => ({
    protocol: protocols.get(publishedPort) ?? ("tcp" as const),
    publishedPort,
    backends: some(random, tasks).map((address) => ({
      ...{ address, port: random.int(1, 3) },
      hasIpv6: random.float() < 0.7,
    })),
    ...(random.float() < 0.3 ? { hostAddresses: some(random, ["eth1", "10.99.0.1", "fd00::1", "lo"]) } : {}),
    ...(random.float() < 0.3
      ? { allowedSources: some(random, ["10.0.0.0/8", "10.1.0.0/16", "fd00::/8", "192.168.0.0/16"]) }
      : {}),
    ...(random.float() < 0.3 ? { isSnat: true } : {}),
    ...(random.float() < 0.2 ? { isNodeOnly: true } : {}),
    balance: POLICIES[random.int(0, 3)] ?? BalancePolicy.ROUND_ROBIN,
  }));
  return {
    nodeNumber: 1,
    localAddress: "10.99.0.1",
    vxlanUdpPort: 4789,
    peers: new Map(
      some(random, [2, 3, 300, 16_383]).map((number) => [number, `10.99.${number >> 8}.${number & 255}`]),
    ),
    ports,
    nodeAddresses: some(random, ["10.99.0.1", "10.99.0.2", "fd99::1", "fd99::2"]),
    hasIpv6: true,
    localTasks: some(random, tasks),
    exposed: some(random, tasks).map((address, i) => ({
      address,
      protocol: i === 0 ? ("sctp" as const) : ("tcp" as const),
      port: 80,
    })),
  };
}

function check<T>(
  draw: (random: Random) => T,
  render: (previous: T | undefined, next: T) => string,
  table = NFT_TABLE,
): void {
  const random = new SeededRandom(7);
  const stepwise = freshNft();
  const atOnce = freshNft();
  let previous: T | undefined;
  for (let step = 0; step < STEPS; step += 1) {
    const next = draw(random);
    const text = render(previous, next);
    if (text !== "") stepwise.run(text);
    atOnce.run(render(undefined, next));
    assert.deepEqual(listed(stepwise, table), listed(atOnce, table), `step ${step}`);
    previous = next;
  }
  stepwise.close();
  atOnce.close();
}

for (const family of [MESH_IPV4, MESH_IPV6]) {
  const table = family.table;
  const render = (previous: MeshPlan | undefined, next: MeshPlan): string =>
    renderMeshRuleset(previous, next, family);

  test(`the mesh's ruleset of ${family.word} changed step by step equals one made at once`, () =>
    check(randomMesh, render, table));

  test(`the mesh's table of ${family.word}, changed as ports change, equals one made at once`, async () => {
    const random = new SeededRandom(5);
    const [stepwise, atOnce] = [freshTable(), freshTable()];
    const changed = new LinuxMeshTable(stepwise, family);
    let previous = randomMesh(random);
    await changed.apply(undefined, previous);
    for (let step = 0; step < STEPS; step += 1) {
      const drawn = randomMesh(random);
      const next = random.float() < 0.3 ? drawn : { ...previous, ports: drawn.ports.map(withoutAdmission) };
      await changed.apply(previous, next);
      atOnce.nft.run(render(undefined, next));
      assert.deepEqual(listed(stepwise.nft, table), listed(atOnce.nft, table), `step ${step}`);
      previous = next;
    }
    for (const { nft, socket } of [stepwise, atOnce]) {
      nft.close();
      socket.close();
    }
  });

  test(`the mesh's ruleset of ${family.word} in slices, over anything, equals one made at once`, async () => {
    const random = new SeededRandom(9);
    const [ways, atOnce] = [freshTable(), freshNft()];
    const sliced = ways.nft;
    // what another version left
    sliced.run(
      `table ${table} {\n set nodes { type inet_service; }\n` +
        " chain publish { type filter hook input priority 5; }\n chain old { }\n}",
    );
    for (let step = 0; step < STEPS / 4; step += 1) {
      const next = randomMesh(random);
      await new LinuxMeshTable(ways, family).apply(undefined, next);
      atOnce.run(render(undefined, next));
      assert.deepEqual(listed(sliced, table), listed(atOnce, table), `step ${step}`);
    }
    sliced.close();
    ways.socket.close();
    atOnce.close();
  });
}
