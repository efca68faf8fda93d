import assert from "node:assert/strict";
import { test } from "node:test";
import { FailedPreconditionError } from "../../base/errors/errors.js";
import { type AssignmentSet, NodeResource, ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import { AssignmentBook, type BookChanges } from "./assignment-book.js";

function task(id: string, nodeId = ""): NodeResource {
  return NodeResource.fromPartial({ resource: { $case: "task", value: { id, nodeId } } });
}

function set(partial: Partial<AssignmentSet>): AssignmentSet {
  return {
    complete: false,
    baseRevision: 0,
    revision: 0,
    upserts: [],
    removals: [],
    more: false,
    ...partial,
  };
}

function textOf(changes: BookChanges | undefined): string {
  if (changes === undefined) return "nothing";
  const ids = changes.upserts.map(({ resource }) => (resource?.$case === "task" ? resource.value.id : "?"));
  const gone = changes.removals.map((key) => key.id);
  return `${changes.complete ? "all" : "changes"} to ${changes.revision}: +[${ids}] -[${gone}]`;
}

test("a set in parts becomes visible whole", () => {
  const book = new AssignmentBook();
  assert.equal(book.accept(set({ complete: true, revision: 5, upserts: [task("a")], more: true })), false);
  assert.equal(book.take(), undefined);
  assert.equal(book.revision, 0);
  assert.equal(book.accept(set({ complete: true, revision: 5, upserts: [task("b")] })), true);
  assert.equal(textOf(book.take()), "all to 5: +[a,b] -[]");
  assert.equal(textOf(book.take()), "nothing");
});

test("changes that arrive while something is applied are merged, the newest word counts", () => {
  const book = new AssignmentBook();
  book.accept(set({ complete: true, revision: 1, upserts: [task("a"), task("b")] }));
  book.take();
  const key = (id: string) => ({ kind: ResourceKind.TASK, id });
  book.accept(set({ baseRevision: 1, revision: 2, upserts: [task("c")], removals: [key("a")] }));
  book.accept(
    set({ baseRevision: 2, revision: 3, upserts: [task("a"), task("b", "x")], removals: [key("c")] }),
  );
  assert.equal(textOf(book.take()), "changes to 3: +[a,b] -[c]");
});

test("changes on a revision we do not have are refused", () => {
  const book = new AssignmentBook();
  book.accept(set({ complete: true, revision: 4 }));
  assert.throws(() => book.accept(set({ baseRevision: 3, revision: 5 })), FailedPreconditionError);
});

test("an unfinished set is forgotten with its session", () => {
  const book = new AssignmentBook();
  book.accept(set({ complete: true, revision: 4, upserts: [task("a")] }));
  book.accept(set({ baseRevision: 4, revision: 6, upserts: [task("lost")], more: true }));
  book.begin();
  book.accept(set({ complete: true, revision: 7, upserts: [task("b")] }));
  assert.equal(textOf(book.take()), "all to 7: +[b] -[]");
});

test("everything can be asked for again", () => {
  const book = new AssignmentBook();
  book.accept(set({ complete: true, revision: 4, upserts: [task("a")] }));
  book.take();
  book.repeatAll();
  assert.equal(textOf(book.take()), "all to 4: +[a] -[]");
});
