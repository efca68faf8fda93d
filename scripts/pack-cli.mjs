// Packs the command line into one file, dist/cli/skein.cjs, and keeps beside it what V8 has compiled of it, in
// dist/cli/skein.cache: `skein` then takes less than half as long over node's own start (npm run bench -- cli).
// Run by `npm run build`. Without esbuild nothing is packed: modules are loaded one by one.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";

// As in cli/main.ts.
setFlagsFromString("--interrupt-budget=1000000");

const SELF = fileURLToPath(import.meta.url);
const DIST = join(resolve(dirname(SELF), ".."), "dist");
const PACKED = join(DIST, "cli/skein.cjs");
const CACHE = join(DIST, "cli/skein.cache");

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

// What cli/main.ts compares: a file is used no more once one of these has changed.
const files = [];

// The time is of before the reading: a change between is one that is seen.
function readNoted(path) {
  const { mtimeMs } = statSync(path);
  const bytes = readFileSync(path);
  files.push([relative(dirname(PACKED), path), bytes.length, mtimeMs, sha256(bytes)]);
  return bytes;
}

// A module asks where it is by import.meta.url: it is told where it was before it was packed.
const ownModules = {
  name: "own-modules",
  setup(build) {
    const packages = new Set();
    build.onLoad({ filter: /\.js$/ }, ({ path }) => {
      const [folder] = /^.*\/node_modules\/(@[^/]+\/)?[^/]+/.exec(path) ?? [];
      if (folder !== undefined) {
        if (!packages.has(folder)) readNoted(join(folder, "package.json")); // it has the version
        packages.add(folder);
        return undefined;
      }
      const url = `__moduleUrl(${JSON.stringify(relative(DIST, path))})`;
      const contents = readNoted(path).toString("utf8").replaceAll("import.meta.url", url);
      return { contents, loader: "js" };
    });
  },
};

// cli/main.ts calls it with these three.
const HEAD = `(function (require, module, __filename) {
const __moduleUrl = (path) => new URL("../" + path, require("node:url").pathToFileURL(__filename)).href;`;

async function pack() {
  for (const path of [CACHE, PACKED]) rmSync(path, { force: true });
  let esbuild;
  try {
    esbuild = await import("esbuild");
  } catch {
    console.log("pack-cli: esbuild is not installed: the command line is not packed");
    return;
  }
  const { outputFiles } = await esbuild.build({
    entryPoints: [join(DIST, "cli/run-skein.js")],
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    write: false,
    external: ["koffi", "level", "classic-level"],
    charset: "ascii",
    minifyWhitespace: true,
    legalComments: "inline",
    logLevel: "error",
    banner: { js: HEAD },
    footer: { js: "})" },
    plugins: [ownModules],
    preserveSymlinks: true,
  });
  const { contents } = outputFiles[0];
  const header = JSON.stringify({ id: sha256(contents), files: files.sort() });
  writeFileSync(`${PACKED}.new`, `//${header}\n`);
  appendFileSync(`${PACKED}.new`, contents);
  renameSync(`${PACKED}.new`, PACKED);
  // in a process of its own, without what esbuild has loaded
  execFileSync(process.execPath, [SELF, "--warm"], { stdio: ["ignore", "ignore", "inherit"] });
}

// Commands are run, so that V8 compiles what they need; what it has compiled by then is kept.
async function warm() {
  const folder = mkdtempSync(join(tmpdir(), "skein-pack-"));
  const service = {
    ID: "s",
    Spec: { Name: "web", Mode: { Replicated: { Replicas: 1 } } },
    ServiceStatus: {},
  };
  const daemon = createServer((request, response) =>
    response.end(JSON.stringify(/services|tasks|nodes/.test(request.url) ? [service] : { Version: "1" })),
  );
  const socket = join(folder, "daemon.sock");
  await new Promise((listening) => daemon.listen(socket, listening));
  process.env.SKEIN_HOST = `unix://${socket}`;
  process.env.SKEIN_CONFIG = folder;
  const source = readFileSync(PACKED, "latin1");
  const { id } = JSON.parse(source.slice(2, source.indexOf("\n")));
  const script = new Script(source, { filename: PACKED });
  const module = { exports: {} };
  script.runInThisContext()(createRequire(PACKED), module, PACKED);
  for (const words of [
    "--help",
    "service create --help",
    "stack --help",
    "service ls",
    "service ls --format {{.Name}}",
    "service ps web",
    "node ls",
    "version",
    "__complete service ps w",
  ])
    await module.exports.runSkein(words.split(" "));
  writeFileSync(`${CACHE}.new`, Buffer.concat([Buffer.from(id), script.createCachedData()]));
  renameSync(`${CACHE}.new`, CACHE);
  rmSync(folder, { recursive: true });
  process.exit(0);
}

await (process.argv[2] === "--warm" ? warm() : pack());
