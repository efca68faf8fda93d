import assert from "node:assert/strict";
import { test } from "node:test";
import { compareFacts, differenceText, tellDifference } from "./compare.js";
import type { Fact } from "./facts.js";

const route = (destination: string, gateway: string): Fact => ({
  kind: "route",
  destination,
  link: "vx0",
  gateway,
});
const link = (name: string, more: object = {}): Fact => ({ kind: "link", name, isUp: true, ...more });
const ours = (fact: Fact) => ({ fact, isOurs: true });

test("what is missing, different and foreign is told by name; equal facts in any order are no difference", () => {
  const wanted = [
    link("vx0", { mtuBytes: 1450 }),
    route("10.0.1.2/32", "169.254.0.2"),
    route("10.0.1.3/32", "169.254.0.3"),
    route("10.0.1.4/32", "169.254.0.4"),
  ];
  const found = [
    ours(route("10.0.1.9/32", "169.254.0.2")),
    ours(route("10.0.1.4/32", "169.254.0.4")),
    ours(route("10.0.1.3/32", "169.254.0.9")),
    ours(link("vx0", { mtuBytes: 1450, mac: "02:99:00:00:00:01" })), // the MAC is not asked for
  ];
  const owns = (fact: Fact): boolean => fact.kind === "route";
  const told = compareFacts({ facts: wanted, owns }, found).map((each) =>
    differenceText(tellDifference("network n1", each)),
  );
  assert.deepEqual(told, [
    "network n1: route 10.0.1.2/32 is missing (via 169.254.0.2 by vx0)",
    "network n1: route 10.0.1.3/32 is different (via 169.254.0.9 by vx0, not via 169.254.0.3 by vx0)",
    "network n1: route 10.0.1.9/32 is foreign (via 169.254.0.2 by vx0)",
  ]);
  assert.deepEqual(
    compareFacts(
      { facts: wanted, owns },
      wanted.toReversed().map((fact) => ours(fact)),
    ),
    [],
  );
});

test("what bears no mark of ours, or what no part owns, is never foreign", () => {
  const found = [
    { fact: route("10.9.0.0/16", "10.0.0.1"), isOurs: false },
    ours(route("10.8.0.0/16", "10.0.0.1")),
  ];
  const owns = (fact: Fact): boolean => fact.kind === "route" && fact.destination === "10.9.0.0/16";
  assert.deepEqual(compareFacts({ facts: [], owns }, found), []);
});

test("of two entries of one name the right one counts, and the other is foreign", () => {
  const wanted = [route("10.0.1.2/32", "169.254.0.2")];
  const found = [ours(route("10.0.1.2/32", "169.254.0.7")), ours(route("10.0.1.2/32", "169.254.0.2"))];
  const differences = compareFacts({ facts: wanted, owns: () => true }, found);
  assert.deepEqual(differences, [{ problem: "foreign", found: found[0]?.fact }]);
});

test("a link that is down, of another size or another VXLAN device is different", () => {
  const vxlan = { vni: 4097, localAddress: "10.0.0.1", udpPort: 4789 };
  const wanted = link("vx0", { mtuBytes: 1450, vxlan });
  const textOf = (more: object): string[] =>
    compareFacts({ facts: [wanted], owns: () => false }, [ours({ ...link("vx0", more) } as Fact)]).map(
      (each) => differenceText(tellDifference("the host", each)),
    );
  assert.deepEqual(textOf({ mtuBytes: 1450, vxlan }), []);
  const right = "up mtu 1450 vni 4097 port 4789 from 10.0.0.1";
  for (const [more, words] of [
    [{ mtuBytes: 1450, vxlan, isUp: false }, "down mtu 1450 vni 4097 port 4789 from 10.0.0.1"],
    [{ mtuBytes: 1400, vxlan }, "up mtu 1400 vni 4097 port 4789 from 10.0.0.1"],
    [{ mtuBytes: 1450 }, "up mtu 1450 no VXLAN device"],
  ] as const)
    assert.deepEqual(textOf(more), [`the host: link vx0 is different (${words}, not ${right})`]);
});
