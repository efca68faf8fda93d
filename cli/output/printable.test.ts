import assert from "node:assert/strict";
import { test } from "node:test";
import { oneLine, printable } from "./printable.js";
import { coloured } from "./process-screen.js";
import { table } from "./table.js";

const SCREEN = { terminal: true, colours: true, columns: () => undefined };

test("control characters of others are shown, not sent; our colours, lines and tabs stay", () => {
  const ours = `${coloured(SCREEN, "green", "a")}\tb\nc`;
  assert.equal(printable(ours), ours);
  assert.equal(
    printable("a\x1b[2Jb\x1b]0;title\x07c\x9b31md\r\ne\x7f"),
    "a\\x1b[2Jb\\x1b]0;title\\x07c\\x9b31md\ne\\x7f",
  );
});

test("a cell, and a line that is repainted, stay one line", () => {
  assert.equal(oneLine("a\r\nb\tc\x1b[2J"), "a b c [2J");
  const lines = table([{ header: "ERROR", field: "Error" }], [{ Error: "first\nsecond\x1b[1A" }]);
  assert.equal(lines, "ERROR\nfirst second [1A");
});
