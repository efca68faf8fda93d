/**
 * The thread that touches containers' files, so that the event loop of the node stays free.
 * Edge: worker thread. Jobs take turns: each gives way between two chunks, so a slow client holds up nobody.
 */
import { closeSync, fstatSync, readSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { parentPort } from "node:worker_threads";
import {
  CancelledError,
  codeOf,
  InternalError,
  InvalidArgumentError,
  messageOf,
  NotFoundError,
  ResourceExhaustedError,
  SkeinError,
} from "../../../base/errors/errors.js";
import type { Linux } from "../../../base/linux/linux-ports.js";
import { openLinux } from "../../../base/linux/open-linux.js";
import { silentLogger } from "../../../base/log/logger.js";
import { resolveUser } from "../../runtime/oci-user.js";
import type { FileJob, FileResult, FromFileThread, ToFileThread } from "./file-jobs.js";
import { WINDOW } from "./file-jobs.js";
import { overlayChanges, treeBytes } from "./linux-overlay-changes.js";
import { baseNameOf, locate, pathStatOf, statPath } from "./linux-path-stat.js";
import { bytesOf, type Folder, isCode, RootView } from "./linux-root-view.js";
import { tarOf } from "./linux-tar-packer.js";
import { TarUnpacker, writable } from "./linux-tar-unpacker.js";
import { TarReader } from "./tar-reader.js";

const TEXT_BYTES_MAX = 4 * 1024 * 1024;

type Port = NonNullable<typeof parentPort>;

/** One job's side of the conversation. */
class Conversation {
  readonly #port: Port;
  readonly #id: number;
  readonly #incoming: Uint8Array[] = [];
  #credits = WINDOW;
  #ended = false;
  #cancelled = false;
  #wake: (() => void) | undefined;

  constructor(port: Port, id: number) {
    this.#port = port;
    this.#id = id;
  }

  hear(message: ToFileThread): void {
    if (message.kind === "chunk") this.#incoming.push(message.chunk);
    else if (message.kind === "end") this.#ended = true;
    else if (message.kind === "credit") this.#credits += 1;
    else if (message.kind === "cancel") this.#cancelled = true;
    this.#wake?.();
  }

  async send(chunk: Uint8Array): Promise<void> {
    while (this.#credits === 0 && !this.#cancelled) await this.#word();
    this.giveUpIfCancelled();
    this.#credits -= 1;
    const message: FromFileThread = { kind: "chunk", id: this.#id, chunk };
    this.#port.postMessage(message, [chunk.buffer as ArrayBuffer]); // made by allocUnsafeSlow: its own memory
    await turn();
  }

  /** @returns undefined after the last. */
  async receive(): Promise<Uint8Array | undefined> {
    while (this.#incoming.length === 0 && !this.#ended && !this.#cancelled) await this.#word();
    this.giveUpIfCancelled();
    const chunk = this.#incoming.shift();
    if (chunk !== undefined) this.post({ kind: "credit", id: this.#id });
    return chunk;
  }

  post(message: FromFileThread): void {
    this.#port.postMessage(message);
  }

  giveUpIfCancelled(): void {
    if (this.#cancelled) throw new CancelledError("the copy was cancelled");
  }

  #word(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

async function perform(job: FileJob, id: number, talk: Conversation, linux: Linux): Promise<FileResult> {
  const readXattrs = (path: string): ReturnType<Linux["readXattrs"]> => linux.readXattrs(path);
  switch (job.kind) {
    case "stat":
      return inView(job.source, (view) => ({ kind: "stat", stat: statPath(view, job.path) }));
    case "read":
      return await inView(job.source, async (view) => {
        const place = locate(view, job.path);
        try {
          talk.post({ kind: "stat", id, stat: pathStatOf(view, place, job.path) });
          const tar = tarOf({ view, readXattrs }, { ...place, as: bytesOf(baseNameOf(job.path)) });
          for (const chunk of tar) await talk.send(chunk);
        } finally {
          closeSync(place.folder.fd);
        }
        return { kind: "done" };
      });
    case "export":
      return await inView(job.source, async (view) => {
        const tar = tarOf({ view, readXattrs, withoutMounts: true }, { folder: view.root, name: "", as: "" });
        for (const chunk of tar) await talk.send(chunk);
        return { kind: "done" };
      });
    case "write":
      return await inView(job.source, (view) => write(view, job, talk, linux));
    case "changes": {
      const changes = await stepwise(
        overlayChanges(job.folders, { readXattrs, ignored: new Set(job.ignored) }),
        talk,
      );
      return { kind: "changes", changes };
    }
    case "size":
      return { kind: "size", bytes: await stepwise(treeBytes(job.folder), talk) };
  }
}

async function write(
  view: RootView,
  job: Extract<FileJob, { kind: "write" }>,
  talk: Conversation,
  linux: Linux,
): Promise<FileResult> {
  const folder = destination(view, job.path);
  try {
    writable(folder);
    const { noOverwriteDirNonDir, user } = job;
    const owner = user === undefined ? undefined : ownerNamed(view, user);
    const unpacker = new TarUnpacker({ view, folder, linux, noOverwriteDirNonDir, owner });
    try {
      const reader = new TarReader(unpacker);
      for (let chunk = await talk.receive(); chunk !== undefined; chunk = await talk.receive()) {
        reader.feed(chunk);
        await turn();
      }
      reader.finish();
      unpacker.finish();
    } finally {
      unpacker.close();
    }
  } finally {
    closeSync(folder.fd);
  }
  return { kind: "done" };
}

/** @throws {InvalidArgumentError} the container knows no such user. */
function ownerNamed(view: RootView, user: string): { readonly uid: number; readonly gid: number } {
  const passwd = readText(view, "etc/passwd");
  return resolveUser({ user, groups: [] }, { passwd, group: readText(view, "etc/group") });
}

/** "" when there is none; only the first TEXT_BYTES_MAX count. */
function readText(view: RootView, path: string): string {
  try {
    const place = view.resolve(view.canonical(path));
    try {
      const fd = view.openFile(place.folder, place.name);
      if (fd === undefined) return "";
      try {
        const bytes = Buffer.alloc(Math.min(fstatSync(fd).size, TEXT_BYTES_MAX));
        return bytes.toString("utf8", 0, readSync(fd, bytes, 0, bytes.length, 0));
      } finally {
        closeSync(fd);
      }
    } finally {
      closeSync(place.folder.fd);
    }
  } catch (error) {
    if (isCode(error, "ENOENT", "ENOTDIR")) return "";
    throw error;
  }
}

function destination(view: RootView, path: string): Folder {
  try {
    return view.resolveFolder(bytesOf(path));
  } catch (error) {
    if (isCode(error, "ENOTDIR"))
      throw new InvalidArgumentError("extraction point is not a directory", { cause: error });
    throw error;
  }
}

async function inView<T>(
  source: Parameters<typeof RootView.open>[0],
  work: (view: RootView) => T | Promise<T>,
): Promise<T> {
  const view = RootView.open(source);
  try {
    return await work(view);
  } finally {
    view.close();
  }
}

async function stepwise<T>(steps: Generator<void, T>, talk: Conversation): Promise<T> {
  try {
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      await turn();
      talk.giveUpIfCancelled();
    }
  } finally {
    steps.return(undefined as never); // closes what it had open, when it was left before its end
  }
}

/** What the machine refused, in the classes callers know. */
function understood(error: unknown, job: FileJob): SkeinError {
  if (error instanceof SkeinError) return error;
  const path = "path" in job ? job.path : "/";
  if (isCode(error, "ENOENT", "ESRCH")) return new NotFoundError(path, { cause: error });
  if (isCode(error, "ENOTDIR")) return new InvalidArgumentError(`lstat ${path}: not a directory`);
  if (isCode(error, "ELOOP")) return new InvalidArgumentError(`${path}: too many links`);
  if (isCode(error, "ENOSPC", "EDQUOT"))
    return new ResourceExhaustedError("write: no space left on device", { cause: error });
  const words = messageOf(error).replace(/\/proc\/\d+\/fd\/\d+/g, "");
  return new InternalError(words, { cause: error });
}

export function serveFileJobs(port: Port): void {
  const open = new Map<number, Conversation>();
  const linux = openLinux({ log: silentLogger });
  port.on("message", (message: ToFileThread) => {
    if (message.kind !== "start") {
      open.get(message.id)?.hear(message);
      return;
    }
    const { id, job } = message;
    const talk = new Conversation(port, id);
    open.set(id, talk);
    const answer = (reply: FromFileThread): void => {
      open.delete(id);
      port.postMessage(reply);
    };
    linux
      .then((kernel) => perform(job, id, talk, kernel))
      .then(
        (result) => answer({ kind: "done", id, result }),
        (error: unknown) => {
          const known = understood(error, job);
          answer({ kind: "failed", id, code: codeOf(known), message: known.message });
        },
      );
  });
}

if (parentPort !== null) serveFileJobs(parentPort);
