// Runs the compiled tests: first unit and simulation, two files at a time; then the fuzz tests once more, a minute
// each (SKEIN_FUZZ_SECONDS), two files at a time; then integration one by one, alone as they measure times; then
// the examples, which build their images.
// Arguments narrow the run to files whose path contains one of them. Ends with the totals of all parts, in which
// a fuzz file counts as a test.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const wanted = process.argv.slice(2);
const files = readdirSync("dist", { recursive: true })
  .map((name) => join("dist", name))
  .filter(
    (name) =>
      name.endsWith(".test.js") && (wanted.length === 0 || wanted.some((part) => name.includes(part))),
  )
  .sort();
const isIntegration = (name) => name.startsWith(join("dist", "test", "integration"));
const isExample = (name) => name.startsWith(join("dist", "test", "examples"));
const totals = { pass: 0, fail: 0, skipped: 0 };

async function runPart(title, part, concurrency) {
  if (part.length === 0) return;
  console.log(`\n# ${title}: ${part.length} files`);
  const stream = run({ files: part, concurrency, timeout: 900_000 });
  const count = (kind) => (event) => {
    if (event.details.type === "suite" || part.some((file) => event.name.endsWith(file))) return;
    if (event.skip !== undefined) totals.skipped += 1;
    else totals[kind] += 1;
  };
  stream.on("test:pass", count("pass"));
  stream.on("test:fail", (event) => {
    // A file that failed as a whole (crash, timeout) counts even though no test in it did.
    totals.fail += event.details.type === "suite" ? 0 : 1;
  });
  await new Promise((resolve, reject) => {
    stream.compose(new spec()).on("end", resolve).on("error", reject).pipe(process.stdout, { end: false });
  });
}

async function runFuzz() {
  // loaded here: without a build there is nothing to run
  const { fuzzSecondsPerFile, runFuzzPart } = await import("../dist/test/fuzz/fuzz-part.js");
  const { fuzzFiles } = await import("../dist/test/fuzz/process-fuzz-file.js");
  const seconds = fuzzSecondsPerFile(process.env);
  const fuzzed = seconds === 0 ? [] : fuzzFiles(wanted);
  if (fuzzed.length === 0) return;
  console.log(`\n# fuzz: ${fuzzed.length} files, ${seconds} s each`);
  const { pass, fail } = await runFuzzPart({ files: fuzzed, seconds, concurrency: 2, say: console.log });
  totals.pass += pass;
  totals.fail += fail;
}

await runPart(
  "unit and simulation",
  files.filter((name) => !isIntegration(name) && !isExample(name)),
  2,
);
await runFuzz();
await runPart("integration", files.filter(isIntegration), 1);
await runPart("examples", files.filter(isExample), 1);
console.log(`\n${totals.pass} passed, ${totals.fail} failed, ${totals.skipped} skipped`);
process.exit(totals.fail > 0 || totals.pass === 0 ? 1 : 0);
