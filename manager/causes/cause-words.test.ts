/**
 * Words for programs: the documented table is the one in the code, and every cause that nodes, the allocator
 * and the orchestrator store is in it.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { REFUSAL_CAUSES } from "../allocator/allocate.js";
import { WAIT_CAUSES } from "../orchestrator/steps.js";
import { NO_NODE_CAUSE } from "../scheduler/task-verdict.js";
import { CAUSE_MEANINGS, causeWord } from "./cause-words.js";

const root = import.meta.url.includes("/dist/") ? "../../../" : "../../";
const read = (path: string): string => readFileSync(new URL(root + path, import.meta.url), "utf8");

test("docs/vocabulary.md lists every cause with its meaning, and no other", () => {
  const text = read("docs/vocabulary.md");
  const table = text.slice(text.indexOf("## Causes"), text.indexOf("## Managers"));
  const rows = [...table.matchAll(/^\| `([\w-]+)` \| [^|]+ \| (.+) \|$/gm)].map(([, word, meaning]) => [
    word,
    meaning,
  ]);
  assert.deepEqual(rows, Object.entries(CAUSE_MEANINGS));
});

test("every cause that is stored has a meaning", () => {
  const ofNodes = [
    ...read("docs/design/dispatch.md").matchAll(/\*\*Failure causes\*\*:([\s\S]*?)\. What/g),
  ].flatMap(([, list = ""]) => [...list.matchAll(/`([\w-]+)`/g)].map(([, word = ""]) => word));
  assert.ok(ofNodes.length > 15, "the list of docs/design/dispatch.md is read");
  for (const word of [...ofNodes, ...REFUSAL_CAUSES, ...WAIT_CAUSES, NO_NODE_CAUSE, "node-lost"])
    assert.equal(causeWord(word, "create"), word);
  assert.equal(causeWord("gremlins"), "runtime-error");
});
