/**
 * Builds a context by the Docker Engine API and tells what came of it in words that two daemons can agree
 * on: the lines, the configuration, the history and the files.
 * Edge: to node:http on a unix socket, and to node:fs.
 */
import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { extract, pack } from "tar-stream";

export interface BuildCase {
  readonly name: string;
  readonly dockerfile: string;
  /** Path to content; "link:x" and "folder:" make those; a value with mode: [mode, content]. */
  readonly files?: Readonly<Record<string, string | readonly [mode: number, content: string | Buffer]>>;
  readonly query?: Readonly<Record<string, string>>;
  /** Tags the image, for the cases after it. */
  readonly tag?: string;
  /** What a dockerd of 2022 does not know: nothing to compare with. */
  readonly newer?: true;
}

export interface BuildOutcome {
  readonly lines: readonly string[];
  readonly config?: Readonly<Record<string, unknown>>;
  readonly history?: readonly string[];
  /** "path type mode uid:gid size|link" of what differs from the base's files. */
  readonly files?: readonly string[];
}

export interface BuildPeer {
  readonly socketPath: string;
  /** Where a skeind keeps its images: configuration and history are then read from the image itself. */
  readonly imagesDir?: string | undefined;
}

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

export async function call(
  socketPath: string,
  method: string,
  path: string,
  body?: Buffer | Readonly<Record<string, unknown>>,
): Promise<Answer> {
  const isTar = Buffer.isBuffer(body);
  const bytes = body === undefined ? undefined : isTar ? body : Buffer.from(JSON.stringify(body));
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = {
      ...(bytes === undefined ? {} : { "content-length": bytes.length }),
      "content-type": isTar ? "application/x-tar" : "application/json",
    };
    const request = httpRequest({ socketPath, method, path, headers }, resolve);
    request.once("error", reject);
    request.end(bytes);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks) };
}

export async function contextTar(one: BuildCase): Promise<Buffer> {
  const tar = pack();
  const mtime = new Date(1_700_000_000_000);
  tar.entry({ name: "Dockerfile", mode: 0o644, mtime }, one.dockerfile);
  for (const [name, value] of Object.entries(one.files ?? {})) {
    const [mode, content] = typeof value === "string" ? [0o644, value] : value;
    if (typeof content === "string" && content.startsWith("link:"))
      tar.entry({ name, type: "symlink", linkname: content.slice(5), mtime });
    else if (content === "folder:") tar.entry({ name, type: "directory", mode, mtime });
    else tar.entry({ name, mode, mtime }, content);
  }
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer); // tar-stream yields Buffers
  return Buffer.concat(chunks);
}

export function withoutIds(text: string): string {
  return text
    .replace(/\b[0-9a-f]{64}\b/g, "<sum>")
    .replace(/\b[0-9a-f]{12}\b/g, "<id>")
    .replace(/-c "[^"]*"$/g, "");
}

/** Builds, looks, and removes what it made, save a tagged image. */
export async function buildCase(peer: BuildPeer, one: BuildCase): Promise<BuildOutcome> {
  const { socketPath } = peer;
  const tag = one.tag ?? `build-corpus-${one.name}`;
  const query = new URLSearchParams({ ...one.query, t: tag, nocache: "1", rm: "1", forcerm: "1" });
  const answer = await call(socketPath, "POST", `/v1.41/build?${query}`, await contextTar(one));
  const lines = answer.body
    .toString("utf8")
    .split("\n")
    .filter((line) => line.trim() !== "");
  const messages = lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
  const said = messages
    .map((message) => message["stream"] ?? message["error"] ?? message["message"] ?? "")
    .join("");
  const shown = withoutIds(said)
    .split("\n")
    .filter((line) => line.trim() !== "");
  if (!messages.some((message) => "aux" in message)) return { lines: [...shown, `status ${answer.status}`] };
  const outcome: BuildOutcome = {
    lines: shown,
    ...(await documentOf(peer, tag)),
    files: await filesOf(socketPath, tag),
  };
  if (one.tag === undefined) await call(socketPath, "DELETE", `/v1.41/images/${tag}?force=1`);
  return outcome;
}

interface Document {
  readonly config: Readonly<Record<string, unknown>>;
  readonly history: readonly { readonly created_by?: string }[];
}

async function documentOf(peer: BuildPeer, tag: string): Promise<Pick<BuildOutcome, "config" | "history">> {
  const get = async (path: string): Promise<unknown> =>
    JSON.parse((await call(peer.socketPath, "GET", `/v1.41/images/${tag}/${path}`)).body.toString("utf8"));
  const image = (await get("json")) as { Id: string; Config: Document["config"] }; // Docker's shape
  if (peer.imagesDir !== undefined) {
    const path = join(peer.imagesDir, "blobs", "sha256", image.Id.slice("sha256:".length));
    const { config, history } = JSON.parse(readFileSync(path, "utf8")) as Document; // OCI image config
    const lines = history.map((line) => withoutIds(line.created_by ?? ""));
    return { config: configOf(config), history: lines.reverse() };
  }
  const history = (await get("history")) as readonly { CreatedBy: string }[]; // Docker's shape
  return { config: configOf(image.Config), history: history.map((line) => withoutIds(line.CreatedBy)) };
}

const CONFIG_KEYS =
  "User ExposedPorts Env Entrypoint Cmd Volumes WorkingDir Labels StopSignal Healthcheck OnBuild Shell".split(
    " ",
  );

function configOf(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    CONFIG_KEYS.flatMap((key) => {
      const value = config[key];
      const isEmpty =
        value === null || value === undefined || value === "" || Object.keys(value as object).length === 0;
      return isEmpty ? [] : [[key, value]];
    }),
  );
}

/** Made by the daemon for a container, and the base's own. */
const IGNORED = [
  /^(dev|proc|sys|bin|www|greeter|root|var|run)(\/|$)/,
  /^etc\/(hosts|hostname|resolv\.conf|mtab|passwd|group)$/,
  /^(etc|tmp|\.dockerenv)$/,
];

async function filesOf(socketPath: string, image: string): Promise<string[]> {
  const created = await call(socketPath, "POST", "/v1.41/containers/create", { Image: image, Cmd: ["x"] });
  const { Id } = JSON.parse(created.body.toString("utf8")) as { Id: string };
  const exported = await call(socketPath, "GET", `/v1.41/containers/${Id}/export`);
  await call(socketPath, "DELETE", `/v1.41/containers/${Id}?force=1&v=1`);
  const parser = extract();
  parser.end(exported.body);
  const files: string[] = [];
  for await (const entry of parser) {
    const { name, type, mode = 0, uid, gid, size, linkname } = entry.header;
    entry.resume();
    const path = name.replace(/^\.?\//, "").replace(/\/$/, "");
    if (path === "" || IGNORED.some((pattern) => pattern.test(path))) continue;
    const detail = linkname || (type === "file" ? String(size) : "");
    files.push(`${path} ${type} ${(mode & 0o7777).toString(8)} ${uid}:${gid} ${detail}`.trimEnd());
  }
  return files.sort();
}

/** The base of the corpus: a shell, some tools, two users. */
export async function importBase(socketPath: string, rootfs: Buffer, name: string): Promise<void> {
  const query = new URLSearchParams({ fromSrc: "-", repo: name, tag: "latest" });
  query.append("changes", 'CMD ["sh"]');
  query.append("changes", "ENV PATH=/bin");
  const answer = await call(socketPath, "POST", `/v1.41/images/create?${query}`, rootfs);
  if (answer.status !== 200 || answer.body.includes('"error"'))
    throw new Error(`import failed: ${answer.body.toString("utf8")}`);
}
