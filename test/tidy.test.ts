/**
 * Reads the source tree and refuses what a linter cannot see: import arrows, doors of packages, impure calls
 * in pure files, files without a header, leftover debugging, paths of a machine. Edge: to node:fs.
 * Source: style.md sections 2 and 3, kept in CONTRIBUTING.md.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = HERE.includes("/dist/") ? resolve(HERE, "../..") : resolve(HERE, "..");
const FOLDERS = [
  "proto/engine",
  "base",
  "raft",
  "net-overlay",
  "manager",
  "worker",
  "node",
  "api",
  "cli",
  "test",
  "bench",
] as const;
type Folder = Exclude<(typeof FOLDERS)[number], "proto/engine"> | "proto";

interface Source {
  readonly path: string;
  readonly folder: Folder;
  readonly text: string;
  readonly imports: readonly { readonly target: string; readonly typeOnly: boolean }[];
}

const IMPORT = /^\s*(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"/gm;
const DYNAMIC_IMPORT = /\bimport\("([^"]+)"\)/g;

function readSources(): Source[] {
  return FOLDERS.flatMap((folder) => {
    const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" });
    return files
      .filter((name) => name.endsWith(".ts") && !name.endsWith(".generated.ts"))
      .sort()
      .map((name) => {
        const path = join(folder, name);
        const text = readFileSync(join(ROOT, path), "utf8");
        const imports = [
          ...[...text.matchAll(IMPORT)].map((match) => ({
            target: match[2] ?? "",
            typeOnly: match[1] !== undefined,
          })),
          ...[...text.matchAll(DYNAMIC_IMPORT)].map((match) => ({ target: match[1] ?? "", typeOnly: false })),
        ];
        return { path, folder: folder === "proto/engine" ? "proto" : folder, text, imports };
      });
  });
}

const sources = readSources();
const isTest = (source: Source): boolean =>
  source.folder === "test" ||
  source.folder === "bench" ||
  source.path.endsWith(".test.ts") ||
  /-(fixtures|harness)\.ts$/.test(source.path);
const header = (source: Source): string => /^(?:#!.*\n)?\/\*\*([\s\S]*?)\*\//.exec(source.text)?.[1] ?? "";
const isEdge = (source: Source): boolean => header(source).includes("Edge:");

/** Which folders a folder may import; "types" allows `import type` alone. Folders not named are refused. */
const ARROWS: Readonly<
  Record<Folder, Readonly<Partial<Record<Folder, "all" | "types" | readonly string[]>>>>
> = {
  proto: {},
  base: {},
  raft: { base: "all", proto: "all" },
  "net-overlay": { base: "all", proto: "all" },
  manager: {
    base: "all",
    proto: "all",
    raft: "types",
    "net-overlay": ["net-overlay/ipam/", "net-overlay/vxlan/"],
  },
  worker: { base: "all", proto: "all", "net-overlay": "all" },
  node: {
    base: "all",
    proto: "all",
    raft: "all",
    "net-overlay": "all",
    manager: "all",
    worker: "all",
    api: "all",
  },
  api: { base: "all", proto: "all" },
  cli: { base: "all", proto: "all" },
  test: {
    base: "all",
    proto: "all",
    raft: "all",
    "net-overlay": "all",
    manager: "all",
    worker: "all",
    node: "all",
    api: "all",
    cli: "all",
  },
  bench: {
    base: "all",
    proto: "all",
    raft: "all",
    "net-overlay": "all",
    manager: "all",
    worker: "all",
    node: "all",
    api: "all",
    cli: "all",
    test: "all",
  },
};

test("import arrows point down", () => {
  const wrong: string[] = [];
  for (const source of sources) {
    for (const { target, typeOnly } of source.imports) {
      if (!target.startsWith(".")) continue;
      const path = normalize(join(dirname(source.path), target));
      const folder = path.split("/")[0] as Folder; // checked by the look-up below
      if (folder === source.folder) continue;
      if (isTest(source) && folder === "test") continue;
      const allowed = ARROWS[source.folder][folder];
      const fine =
        allowed === "all" ||
        (allowed === "types" && (typeOnly || isTest(source))) ||
        (Array.isArray(allowed) && allowed.some((prefix) => path.startsWith(prefix)));
      if (!fine) wrong.push(`${source.path} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

/** Packages and the files that may import them: the doors. */
const DOORS: Readonly<Record<string, RegExp>> = {
  level: /\/level-[\w-]+\.ts$/,
  "classic-level": /\/level-[\w-]+\.ts$/,
  koffi: /^base\/linux\/linux-koffi-calls\.ts$/,
  pino: /^base\/log\/pino-logger\.ts$/,
  ws: /\/ws-[\w-]+\.ts$/,
  yaml: /^cli\/compose\/|^worker\/runtime\/fs-cdi-registry\./,
  ajv: /^cli\/compose\//,
  commander: /^cli\//,
  "find-my-way": /^api\//,
  "tar-stream": /^(worker\/images\/|cli\/)/,
  "dns-packet": /^net-overlay\/discovery\//,
  "ipaddr.js": /^(net-overlay|manager|api|node|cli|worker\/images)\//,
  "@grpc/grpc-js": /(^|\/)grpc-[\w-]+\.ts$|^base\/grpc\/|^node\/|^api\/|handlers?\.ts$/,
};

test("each package has its doors", () => {
  const wrong: string[] = [];
  for (const source of sources.filter((candidate) => !isTest(candidate))) {
    for (const { target, typeOnly } of source.imports) {
      if (target.startsWith(".") || target.startsWith("node:") || typeOnly) continue;
      const name = target.startsWith("@")
        ? target.split("/").slice(0, 2).join("/")
        : (target.split("/")[0] ?? "");
      const door = DOORS[name];
      if (door === undefined) wrong.push(`${source.path} imports ${name}, which has no door`);
      else if (!door.test(source.path)) wrong.push(`${source.path} is no door of ${name}`);
    }
  }
  assert.deepEqual(wrong, []);
});

const IMPURE = new RegExp(
  "(?<!\\.)\\b(Date\\.now|Math\\.random|randomUUID|new Date\\(\\)|setTimeout|setInterval|process\\.env|" +
    "process\\.hrtime|performance\\.now)",
);
/** base/clock names its methods after what it wraps. */
const mustBePure = (source: Source): boolean =>
  !isTest(source) && !isEdge(source) && !source.path.startsWith("base/clock/");
const IMPURE_MODULES = /^node:(fs|net|http|https|tls|dgram|child_process|worker_threads|dns|os)(\/|$)/;

test("files that are no edges touch no clock, chance, environment, disk or network", () => {
  const wrong: string[] = [];
  for (const source of sources.filter(mustBePure)) {
    const code = source.text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    const call = IMPURE.exec(code)?.[0];
    if (call !== undefined) wrong.push(`${source.path} uses ${call}`);
    for (const { target, typeOnly } of source.imports) {
      if (!typeOnly && IMPURE_MODULES.test(target)) wrong.push(`${source.path} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("every source file says what it is, and whether it is pure or an edge", () => {
  const wrong = sources
    .filter((source) => !source.path.endsWith(".test.ts") && source.folder !== "bench")
    .filter((source) => !/\b(Pure|Edge:)/.test(header(source)))
    .map((source) => source.path);
  assert.deepEqual(wrong, []);
});

test("names of files are ideas in kebab-case, not drawers", () => {
  const wrong = sources
    .map((source) => source.path)
    .filter(
      (path) =>
        !/^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/.test(path.split("/").pop() ?? "") ||
        /\/(utils?|helpers?|common|misc)(\/|\.ts$)/.test(path),
    );
  assert.deepEqual(wrong, []);
});

test("no leftover debugging, focus, or paths of a machine", () => {
  const wrong: string[] = [];
  for (const source of sources) {
    if (source.path === join("test", "tidy.test.ts")) continue;
    if (/\bdebugger\b|\b(test|it|describe)\.only\b/.test(source.text))
      wrong.push(`${source.path}: leftover debugging`);
    if (!isTest(source) && source.folder !== "cli" && /\bconsole\.(log|debug)\b/.test(source.text))
      wrong.push(`${source.path}: console`);
    if (/["'`]\/(work|home)\//.test(source.text)) wrong.push(`${source.path}: a path of a machine`);
  }
  assert.deepEqual(wrong, []);
});

/** The formatter's. */
const COLUMNS_MAX = 110;
/** For what would read worse in two pieces: a test's title, a message, a rule, a drawing. */
const TEXT_COLUMNS_MAX = 120;
const LONG_TEXT = /(["'`/]).{50,}\1|[─►▶]/;

test("lines stop at 110 columns, those of one long text at 120, and files below 500 lines, tests 600", () => {
  const wrong: string[] = [];
  for (const source of sources) {
    const lines = source.text.split("\n");
    if (lines.length > (isTest(source) ? 600 : 500))
      wrong.push(`${source.path} has ${lines.length} lines: look for the second idea`);
    let inText = false; // a text over several lines
    lines.forEach((line, i) => {
      if (line.startsWith("#!")) return;
      const isText = inText || LONG_TEXT.test(line);
      if ((line.match(/(?<!\\)`/g)?.length ?? 0) % 2 === 1 && !/^\s*(\*|\/\/|\/\*)/.test(line))
        inText = !inText;
      if (line.length > (isText ? TEXT_COLUMNS_MAX : COLUMNS_MAX))
        wrong.push(`${relative(ROOT, join(ROOT, source.path))}:${i + 1} has ${line.length} columns`);
    });
  }
  assert.deepEqual(wrong, []);
});
