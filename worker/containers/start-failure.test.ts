/** Words and codes of starts that failed. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { InternalError, InvalidArgumentError } from "../../base/errors/errors.js";
import { startFailure } from "./start-failure.js";

it("a missing command is told as Docker's clients look for it", () => {
  const thrown = new InvalidArgumentError(
    "executable file `nosuch` not found in $PATH: No such file or directory",
  );
  const { error, exitCode } = startFailure(thrown, "nosuch");
  assert.match(error.message, /exec: "nosuch": executable file not found in \$PATH: unknown$/);
  assert.equal(exitCode, 127);
});

it("a missing path and a folder have codes of their own", () => {
  const path = startFailure(
    new InvalidArgumentError("executable file `/x/y` not found in $PATH: No such file or directory"),
    "/x/y",
  );
  assert.equal(path.exitCode, 127);
  assert.match(path.error.message, /stat \/x\/y: no such file or directory/);
  const folder = startFailure(new InvalidArgumentError("open executable: Operation not permitted"), "/etc");
  assert.equal(folder.exitCode, 126);
  assert.match(folder.error.message, /exec: "\/etc": permission denied: unknown$/);
});

it("anything else keeps its class and words", () => {
  const thrown = new InternalError("driver failed programming external connectivity");
  assert.deepEqual(startFailure(thrown, "sh"), { error: thrown, exitCode: 128 });
});
