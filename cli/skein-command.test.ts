import assert from "node:assert/strict";
import { test } from "node:test";
import { SkeinCommand } from "./skein-command.js";

function parse(argv: string[]): { options: Record<string, unknown>; args: string[] } {
  const program = new SkeinCommand("skein")
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .enablePositionalOptions();
  let seen: { options: Record<string, unknown>; args: string[] } | undefined;
  const create = program
    .command("create")
    .argument("<image>")
    .argument("[command...]")
    .passThroughOptions()
    .option("-d, --detach", "")
    .option("--no-healthcheck", "")
    .option("-p, --publish <port>", "");
  create.action((image: string, words: string[]) => {
    seen = { options: create.opts(), args: [image, ...words] };
  });
  program.parse(argv, { from: "user" });
  assert.ok(seen);
  return seen;
}

test("a switch takes =true and =false as Docker's do", () => {
  assert.equal(parse(["create", "--detach", "i"]).options["detach"], true);
  assert.equal(parse(["create", "--detach=true", "i"]).options["detach"], true);
  assert.equal(parse(["create", "--detach=false", "i"]).options["detach"], false);
  assert.equal(parse(["create", "-d=false", "i"]).options["detach"], false);
  assert.equal(parse(["create", "--no-healthcheck=true", "i"]).options["healthcheck"], false);
  assert.equal(parse(["create", "i"]).options["detach"], undefined);
});

test("a switch takes no other value", () => {
  assert.throws(
    () => parse(["create", "--detach=maybe", "i"]),
    /--detach must be true or false, got "maybe"/,
  );
});

test("words behind the image belong to the container", () => {
  const { options, args } = parse(["create", "-p", "80", "i", "run", "--detach=true", "-p", "90"]);
  assert.deepEqual(args, ["i", "run", "--detach=true", "-p", "90"]);
  assert.equal(options["detach"], undefined);
});

test("an unknown flag is refused with the nearest known one", () => {
  assert.throws(
    () => parse(["create", "--detch", "i"]),
    /unknown option '--detch'\n\(Did you mean --detach\?\)/,
  );
});
