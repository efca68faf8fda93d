import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeNetworkReport } from "./node-network-report.js";
import { reportIn, reportOut } from "./node-network-report.js";
import type { NodeAnswer } from "./verdict.js";
import { judge, mayPass } from "./verdict.js";

const report = (host: number, fields: Partial<NodeNetworkReport> = {}): NodeAnswer => ({
  nodeId: `n${host}`,
  hostname: `host${host}`,
  report: {
    nodeId: `n${host}`,
    hostname: `host${host}`,
    appliedRevision: 40 + host,
    toldRevision: 40 + host,
    wrong: [],
    repaired: [],
    differences: {},
    digests: { "published ports": "aa", "network web": "bb" },
    pairs: [],
    ...fields,
  },
});

const problemsOf = (answers: readonly NodeAnswer[]): string[] =>
  judge(answers).nodes.flatMap(({ answer, problems }) =>
    problems.map((each) => `${answer.hostname}: ${each}`),
  );

test("nodes that agree are good, at the newest revision", () => {
  const verdict = judge([report(1), report(2), report(3)]);
  assert.deepEqual([verdict.isGood, verdict.revision, mayPass(verdict)], [true, 43, false]);
});

test("what is wrong, who does not answer, who is behind and who was told something else is named", () => {
  const answers = [
    report(1, { wrong: ["the host: route 10.0.0.0/24 is missing"] }),
    { nodeId: "n2", hostname: "host2", error: "node host2 did not dial back" },
    report(3, { appliedRevision: 30 }),
    report(4, { digests: { "published ports": "aa", "network web": "cc" } }),
    report(5, { pairs: [{ kind: "encryption", with: "host1", isGood: false, state: "no handshake yet" }] }),
  ];
  assert.deepEqual(problemsOf(answers), [
    "host1: the host: route 10.0.0.0/24 is missing",
    "host2: no answer: node host2 did not dial back",
    "host3: behind: revision 30 is applied, of 43",
    "host4: behind: network web: other nodes were told something else, at revision 45",
    "host5: encryption with host1: no handshake yet",
  ]);
  assert.deepEqual(
    answers.map((answer) => mayPass(judge([answer, report(6), report(7)]))),
    [false, true, true, true, true],
  );
});

test("a report comes through as it was; anything else is refused, or empty", () => {
  const { report: said } = report(1, {
    wrong: ["a"],
    differences: { route: 2 },
    pairs: [{ kind: "path", with: "host2", isGood: true, state: "1450 bytes" }],
  });
  assert.ok(said);
  assert.deepEqual(reportIn(JSON.stringify(reportOut(said))), said);
  for (const bad of ["", "[]", "7", '{"NodeID":7}'])
    assert.throws(() => reportIn(bad), /node's answer is no/);
  const odd = reportIn('{"NodeID":"n1","Wrong":[7,{}],"Differences":{"a":"x"},"Pairs":[1],"Digests":[]}');
  assert.deepEqual([odd.wrong, odd.differences, odd.digests], [["", ""], { a: 0 }, {}]);
});
