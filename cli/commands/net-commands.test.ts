import assert from "node:assert/strict";
import { test } from "node:test";
import { verdictText } from "./net-commands.js";

const node = (host: string, problems: string[], repaired: string[] = []) => ({
  Hostname: host,
  Problems: problems,
  Report: { Repaired: repaired },
});

test("yes names the revision, no names what differs where, and repaired differences are told", () => {
  assert.equal(
    verdictText({ Good: true, Revision: 7, Nodes: [node("a", []), node("b", [])] }),
    "yes: revision 7 on all 2 nodes",
  );
  assert.equal(
    verdictText({ Good: true, Revision: 7, Nodes: [node("a", [], ["the host: table ip skein is missing"])] }),
    "yes: revision 7 on 1 node\na: repaired: the host: table ip skein is missing",
  );
  assert.equal(
    verdictText({ Good: false, Revision: 7, Nodes: [node("a", []), node("b", ["no answer: down"])] }),
    "no: 1 of 2 nodes differ\nb: no answer: down",
  );
});
