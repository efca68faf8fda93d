/**
 * The image that Dockerfiles of examples begin with, debian:bookworm-slim: made by debootstrap
 * from the mirror that this machine's apt uses, once, and kept as a tar for the tests after it.
 * Edge: to debootstrap, apt's settings and files.
 */
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../lab/lab-swarm.js";
import { attempt, run } from "../lab/shell.js";
import { patient } from "../patience.js";

const SUITE = "bookworm";
const MIRROR = "http://deb.debian.org/debian";
/** Packages become newer: a base of last week would fetch half of itself again. */
const AGE_MAX_MS = 7 * 24 * 3_600_000;
/** How long another test's debootstrap is waited for. */
const MAKING_TIMEOUT_MS = 300_000;

/** Where examples' tests keep what they fetched for each other. */
export function cacheFolder(): string {
  const folder = join(tmpdir(), "skein-examples-cache");
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return folder;
}

/** @returns path of a tar with the root file system; made when there is none yet. */
export async function debianBase(): Promise<string> {
  const path = join(cacheFolder(), `${SUITE}-${process.arch}.tar`);
  const lock = `${path}.lock`;
  return until(
    "debootstrap",
    MAKING_TIMEOUT_MS,
    async () => {
      if (ageMs(path) < AGE_MAX_MS) return path;
      if (!locked(lock)) return undefined; // another test makes it
      try {
        await make(path);
      } finally {
        rmSync(lock, { recursive: true, force: true });
      }
      return path;
    },
    () => lock,
  );
}

async function make(path: string): Promise<void> {
  const folder = mkdtempSync(join(cacheFolder(), "root-"));
  const root = join(folder, "root");
  try {
    const sources = await debianSources();
    const main = sources.find(({ suite }) => suite === SUITE)?.uri ?? MIRROR;
    await run("debootstrap", ["--variant=minbase", SUITE, root, main], { timeoutMs: MAKING_TIMEOUT_MS });
    writeFileSync(
      join(root, "etc/apt/sources.list"),
      sources.map(({ uri, suite }) => `deb ${uri} ${suite} main\n`).join(""),
    );
    // as Debian's own images: nothing of a package that its program does not need, no lists, no cache
    writeFileSync(
      join(root, "etc/dpkg/dpkg.cfg.d/slim"),
      ["doc", "man", "locale", "info"].map((name) => `path-exclude /usr/share/${name}/*\n`).join(""),
    );
    writeFileSync(
      join(root, "etc/apt/apt.conf.d/slim"),
      [
        'APT::Keep-Downloaded-Packages "false";',
        'Dir::Cache::pkgcache "";',
        'Dir::Cache::srcpkgcache "";',
        'Acquire::Languages "none";',
        'DPkg::Options "--force-unsafe-io";',
        "",
      ].join("\n"),
    );
    const drop = ["doc", "man", "locale", "info"].map((name) => `usr/share/${name}`);
    for (const name of [...drop, "var/lib/apt/lists", "var/cache/apt", "var/log"])
      for (const part of (await run("find", [join(root, name), "-mindepth", "1", "-type", "f"])).split("\n"))
        if (part !== "") rmSync(part);
    const tar = join(folder, "root.tar");
    await run("tar", ["--numeric-owner", "--exclude=./dev/*", "-C", root, "-cf", tar, "."], {
      timeoutMs: MAKING_TIMEOUT_MS,
    });
    renameSync(tar, path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Source {
  readonly uri: string;
  readonly suite: string;
}

/** What this machine's apt knows of that Debian; its mirror may be another than Debian's own. */
async function debianSources(): Promise<readonly Source[]> {
  const format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
  const { stdout } = await attempt("apt-get", ["indextargets", "--format", format, "Identifier: Packages"]);
  const found = new Map<string, Source>();
  for (const line of stdout.split("\n")) {
    const [uri = "", suite = "", component] = line.split(" ");
    if (component === "main" && new RegExp(`^${SUITE}(-updates|-security)?$`).test(suite))
      found.set(suite, { uri: uri.replace(/\/$/, ""), suite });
  }
  if (!found.has(SUITE)) return [{ uri: MIRROR, suite: SUITE }];
  return [...found.values()].sort((a, b) => a.suite.length - b.suite.length);
}

/** Makes the tar an image of the host, under the name that a registry would have it by. */
export async function importDebianBase(socketPath: string): Promise<void> {
  const path = await debianBase();
  const query = new URLSearchParams({ fromSrc: "-", repo: "debian", tag: `${SUITE}-slim` });
  query.append("changes", 'CMD ["bash"]');
  query.append("changes", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { "content-type": "application/x-tar", "content-length": statSync(path).size };
    const request = httpRequest(
      {
        socketPath,
        method: "POST",
        path: `/v1.51/images/create?${query}`,
        headers,
        timeout: patient(120_000),
      },
      resolve,
    );
    request.once("error", reject);
    createReadStream(path).once("error", reject).pipe(request);
  });
  let text = "";
  for await (const chunk of response) text += String(chunk);
  if (response.statusCode !== 200 || text.includes('"error"'))
    throw new Error(`the base could not be imported: ${text}`);
}

function ageMs(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? Number.POSITIVE_INFINITY : Date.now() - found.mtimeMs;
}

/** True when the lock is ours now; one that a killed test left is broken after its time. */
function locked(lock: string): boolean {
  if (ageMs(lock) > MAKING_TIMEOUT_MS && ageMs(lock) !== Number.POSITIVE_INFINITY)
    rmSync(lock, { recursive: true, force: true });
  try {
    mkdirSync(lock);
    return true;
  } catch {
    return false; // somebody has it
  }
}
