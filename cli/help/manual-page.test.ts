import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { buildProgram } from "../program.js";
import { NOT_RUN, writeManuals } from "./fs-manuals.js";
import { documented, manualPage, pageName, roff } from "./manual-page.js";
import { lessonText, teach } from "./teach.js";

test("text cannot become a macro or an escape", () => {
  assert.equal(roff(".TH x\n'quoted\na\\b --flag"), "\\&.TH x\n\\&'quoted\na\\eb \\-\\-flag");
});

const MACROS = ["TH", "SH", "PP", "TP", "B", "BR", "RS", "RE", "nf", "fi"];

test("every command has a page, whose macros are known, and balanced", async () => {
  const program = await buildProgram(NOT_RUN, "all");
  for (const command of documented(program)) {
    const page = manualPage(command, "1.0");
    const name = pageName(command);
    const macros = page
      .split("\n")
      .flatMap((line) => (line.startsWith(".") ? [line.slice(1).split(" ")[0]] : []));
    assert.deepEqual(
      macros.filter((macro) => !MACROS.includes(macro ?? "")),
      [],
      name,
    );
    for (const [open, close] of [
      ["nf", "fi"],
      ["RS", "RE"],
    ])
      assert.equal(
        macros.filter((macro) => macro === open).length,
        macros.filter((macro) => macro === close).length,
        name,
      );
    assert.equal(macros[0], "TH", name);
    for (const title of ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS"])
      assert.ok(page.includes(`.SH "${title}"`), `${name} ${title}`);
    for (const option of command.options.filter(({ hidden }) => !hidden))
      assert.ok(page.includes(roff(option.flags).replaceAll('"', '""')), `${name} ${option.flags}`);
    assert.ok(!page.includes("undefined"), name);
  }
});

test("the pages are written, and a manual reader takes them where there is one", async () => {
  const folder = mkdtempSync(join(tmpdir(), "skein-man-"));
  try {
    const count = await writeManuals(join(folder, "man1"));
    const files = readdirSync(join(folder, "man1")).map((name) => join(folder, "man1", name));
    assert.equal(files.length, count);
    assert.ok(count > 80, `${count} pages`);
    assert.match(
      readFileSync(join(folder, "man1", "skein-service-create.1"), "utf8"),
      /^\.TH "SKEIN\\-SERVICE\\-CREATE"/,
    );
    const lint = spawnSync("mandoc", ["-T", "lint", "-W", "error", ...files], { encoding: "utf8" });
    if (lint.error === undefined) assert.equal(lint.stdout, "");
    const groff = spawnSync("groff", ["-man", "-Tutf8", "-ww", "-z", ...files], { encoding: "utf8" });
    if (groff.error === undefined) assert.equal(groff.stderr, "");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("help shows examples and what is next, in lines that fit", async () => {
  const program = await buildProgram(NOT_RUN, "all");
  teach(program);
  const create = program.commands
    .find((each) => each.name() === "secret")
    ?.commands.find((each) => each.name() === "create");
  let help = "";
  create?.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  assert.match(help, /Examples:\n {2}skein secret create db-password password\.txt\n/);
  assert.match(help, /Next: 'skein service create --secret db-password …'/);
  const long = lessonText({
    examples: [[`skein x ${"--flag value ".repeat(20)}`.trim()]],
    next: "word ".repeat(60),
  });
  for (const line of long.split("\n")) assert.ok(line.length <= 110, line);
  assert.match(long, /value \\\n {6}--flag/);
});
