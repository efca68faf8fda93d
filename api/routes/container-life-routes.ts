/**
 * /containers: making, starting, stopping, changing and removing. Edge: to the node's container manager.
 * Status codes are Docker's: 304 where nothing was to be done, 409 where the container's state forbids it.
 */
import {
  AbortedError,
  FailedPreconditionError,
  InvalidArgumentError,
  messageOf,
  NotFoundError,
  NotImplementedError,
  SkeinError,
} from "../../base/errors/errors.js";
import { errorFromCode } from "../../base/errors/status.js";
import type { ContainerManager, ContainerRecord, WaitCondition } from "../../proto/engine/containers.js";
import { type CreateWorld, containerIn } from "../convert/container-in.js";
import { countsAsRunning, type ImageOfContainer } from "../convert/container-out.js";
import { updateIn } from "../convert/container-update-in.js";
import { labelsMatch, untilOf } from "../convert/prune-filters.js";
import { parseFilters } from "../filters.js";
import type { Exchange } from "../http-exchange.js";
import type { Route } from "./route.js";

export interface ContainerLifeOptions {
  readonly containers: ContainerManager;
  readonly findImage: (reference: string) => ImageOfContainer | undefined;
  /** All but what the request itself says. */
  readonly world: () => Omit<CreateWorld, "apiMinor" | "containerId">;
  /** Of the machine. */
  readonly architecture: string;
  /** Bytes of the container's own layer; 0 where nobody counts them. */
  readonly writableBytes: (containerId: string) => Promise<number>;
  /** Tells the journal. */
  readonly onPruned: (reclaimedBytes: number) => void;
  readonly nowMs: () => number;
}

/** A body of more than this, or of unknown length, was once a HostConfig. */
const START_BODY_BYTES_MAX = 7;

/** What the state forbids is a conflict, as Docker has it. */
export async function orConflict<T>(work: Promise<T>, prefix = ""): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof FailedPreconditionError)
      throw new AbortedError(`${prefix}${messageOf(error)}`, { cause: error });
    const plain = error instanceof SkeinError && /^Invalid signal/.test(error.message);
    if (prefix !== "" && error instanceof SkeinError && !plain)
      throw errorFromCode(error.code, `${prefix}${error.message}`, error);
    throw error;
  }
}

/** The CLI takes 404 for a missing image and pulls it: a network or container that is missing is told as 400. */
async function notMissing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof NotFoundError) || /^No such image/.test(error.message)) throw error;
    throw new InvalidArgumentError(error.message, { cause: error });
  }
}

/** A whole number of the query; undefined when absent. @throws {InvalidArgumentError} in Go's words. */
function wholeNumber(exchange: Exchange, name: string): number | undefined {
  const text = exchange.query.get(name);
  if (text === null || text === "") return undefined;
  if (!/^[+-]?\d{1,15}$/.test(text))
    throw new InvalidArgumentError(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

function stopOptions(exchange: Exchange): { gracePeriodMs?: number; signal?: string } {
  const seconds = wholeNumber(exchange, "t");
  const signal = exchange.apiMinor() >= 42 ? (exchange.query.get("signal") ?? "") : "";
  return {
    ...(seconds === undefined ? {} : { gracePeriodMs: seconds < 0 ? -1 : seconds * 1000 }),
    ...(signal === "" ? {} : { signal }),
  };
}

function refuseStartBody(exchange: Exchange): void {
  const length = exchange.header("content-length");
  const unknown = exchange.header("transfer-encoding") !== "";
  if (unknown || Number(length || 0) > START_BODY_BYTES_MAX)
    throw new InvalidArgumentError(
      "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
    );
  const checkpoint = exchange.query.get("checkpoint") ?? "";
  if (checkpoint !== "") throw new NotImplementedError("checkpoints are not supported by Skein");
}

/** @throws {NotFoundError} an image of another platform than was asked for: the CLI then pulls the right one. */
function checkPlatform(platform: string, reference: string, image: ImageOfContainer | undefined): void {
  if (platform === "" || image === undefined) return;
  const [os = "", architecture = "", variant = "", ...more] = platform.toLowerCase().split("/");
  if (more.length > 0 || os === "")
    throw new InvalidArgumentError(
      `${JSON.stringify(platform)}: cannot parse platform specifier: invalid argument`,
    );
  // "arm64" alone is an architecture
  const wanted =
    architecture === "" && os !== "linux" ? { os: "linux", architecture: os } : { os, architecture };
  const names: Readonly<Record<string, string>> = { x86_64: "amd64", aarch64: "arm64" };
  const same =
    wanted.os === image.os &&
    (wanted.architecture === "" ||
      (names[wanted.architecture] ?? wanted.architecture) === image.architecture) &&
    (variant === "" || image.variant === undefined || image.variant === variant);
  if (!same)
    throw new NotFoundError(
      `image with reference ${reference} was found but its platform (${image.os}/${image.architecture}) ` +
        `does not match the specified platform (${platform})`,
    );
}

const CONDITIONS: readonly WaitCondition[] = ["not-running", "next-exit", "removed"];

function conditionIn(exchange: Exchange): WaitCondition {
  const text = exchange.query.get("condition") ?? "";
  if (text === "" || exchange.apiMinor() < 30) return "not-running";
  const condition = CONDITIONS.find((each) => each === text);
  if (condition === undefined) throw new InvalidArgumentError(`invalid condition: ${JSON.stringify(text)}`);
  return condition;
}

export function containerLifeRoutes(options: ContainerLifeOptions): Route[] {
  const { containers } = options;
  const get = (exchange: Exchange): ContainerRecord => containers.get(exchange.param("id"));
  const done = { status: 204 };

  async function create(exchange: Exchange) {
    const body = await exchange.body();
    const { specification, warnings } = containerIn(body, exchange.query.get("name") ?? "", {
      ...options.world(),
      apiMinor: exchange.apiMinor(),
      containerId: (idOrName) => containers.find(idOrName)?.id,
    });
    const platform = exchange.apiMinor() >= 41 ? (exchange.query.get("platform") ?? "") : "";
    const image = options.findImage(specification.image);
    checkPlatform(platform, specification.image, image);
    const all = [...warnings];
    if (image !== undefined && platform === "" && image.architecture !== options.architecture)
      all.push(
        `The requested image's platform (${image.os}/${image.architecture}) does not match the detected host ` +
          `platform (linux/${options.architecture}) and no specific platform was requested`,
      );
    const created = await notMissing(orConflict(containers.create(specification)));
    return {
      status: 201,
      json: { Id: created.id, Warnings: [...new Set([...all, ...(created.warnings ?? [])])] },
    };
  }

  /** The head goes out at once: the CLI starts the container only when it has seen it. */
  async function wait(exchange: Exchange): Promise<undefined> {
    const container = get(exchange);
    const condition = conditionIn(exchange);
    const signal = exchange.gone();
    const ended = containers.wait(container.id, { condition, signal });
    const { response } = exchange;
    if (exchange.apiMinor() >= 30) exchange.startStream("application/json");
    let answer: { StatusCode: number; Error?: { Message: string } };
    try {
      const { exitCode, error } = await ended;
      answer = { StatusCode: exitCode, ...(error === "" ? {} : { Error: { Message: error } }) };
    } catch (error) {
      if (signal.aborted) return undefined;
      answer = { StatusCode: -1, Error: { Message: messageOf(error) } };
    }
    if (!response.headersSent) response.writeHead(200, { "content-type": "application/json" });
    response.end(`${JSON.stringify(answer)}\n`);
    return undefined;
  }

  async function remove(exchange: Exchange) {
    const { id } = get(exchange);
    if (exchange.flag("link"))
      throw new AbortedError("Conflict, cannot remove the default link name of the container");
    await orConflict(
      containers.remove(id, { force: exchange.flag("force"), removeVolumes: exchange.flag("v") }),
    );
    return done;
  }

  async function prune(exchange: Exchange) {
    const filters = parseFilters(exchange.query.get("filters"), ["label", "label!", "until"]);
    const untilMs = untilOf(filters, options.nowMs()) ?? Number.POSITIVE_INFINITY;
    const deleted: string[] = [];
    let reclaimed = 0;
    for (const { id, state, createdMs, specification } of containers.list()) {
      const stopped = state === "created" || state === "exited" || state === "dead";
      if (!stopped || createdMs > untilMs || !labelsMatch(filters, specification.labels)) continue;
      try {
        const bytes = await options.writableBytes(id);
        await containers.remove(id, { force: false, removeVolumes: false });
        reclaimed += bytes;
        deleted.push(id);
      } catch (error) {
        // started or removed meanwhile: it is no stopped container any more
        if (!(error instanceof FailedPreconditionError || error instanceof NotFoundError)) throw error;
      }
    }
    options.onPruned(reclaimed);
    return {
      status: 200,
      json: { ContainersDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: reclaimed },
    };
  }

  const post = (action: string, handle: Route["handle"]): Route => ({
    method: "POST",
    path: `/containers/:id/${action}`,
    handle,
  });

  return [
    { method: "POST", path: "/containers/create", handle: create },
    { method: "POST", path: "/containers/prune", handle: prune },
    { method: "DELETE", path: "/containers/:id", handle: remove },
    {
      // a link by its name, "front/db"
      method: "DELETE",
      path: "/containers/:id/:alias",
      handle: async (exchange) => {
        const [id, alias] = [exchange.param("id"), exchange.param("alias")];
        const parent = exchange.flag("link") ? containers.find(id) : undefined;
        if (parent === undefined || containers.removeLink === undefined)
          throw new NotFoundError(`No such container: ${id}/${alias}`);
        await containers.removeLink(parent.id, alias);
        return done;
      },
    },
    post("start", async (exchange) => {
      refuseStartBody(exchange);
      const { id, state } = get(exchange);
      if (state === "running" || state === "restarting") return { status: 304 };
      await orConflict(containers.start(id));
      return done;
    }),
    post("stop", async (exchange) => {
      const stop = stopOptions(exchange);
      const container = get(exchange);
      if (!countsAsRunning(container)) return { status: 304 };
      await orConflict(containers.stop(container.id, stop));
      return done;
    }),
    post("restart", async (exchange) => {
      const stop = stopOptions(exchange);
      await orConflict(containers.restart(get(exchange).id, stop));
      return done;
    }),
    post("kill", async (exchange) => {
      const id = exchange.param("id");
      const signal = exchange.query.get("signal") || "SIGKILL";
      const killed = async (): Promise<void> => containers.kill(get(exchange).id, signal);
      await orConflict(killed(), `cannot kill container: ${id}: `);
      return done;
    }),
    post("pause", async (exchange) => {
      await orConflict(containers.pause(get(exchange).id));
      return done;
    }),
    post("unpause", async (exchange) => {
      await orConflict(containers.unpause(get(exchange).id));
      return done;
    }),
    post("rename", async (exchange) => {
      const { id, name } = get(exchange);
      const wanted = exchange.query.get("name") ?? "";
      const plain = wanted === "" || wanted.replace(/^\//, "") === name;
      await orConflict(containers.rename(id, wanted), plain ? "" : "Error when allocating new name: ");
      return done;
    }),
    post("update", async (exchange) => {
      const body = await exchange.body();
      const { id } = get(exchange);
      const { change, warnings } = updateIn(body, options.world());
      const more = await orConflict(containers.update(id, change));
      const all = [...warnings, ...more];
      return { status: 200, json: { Warnings: all.length === 0 ? null : all } };
    }),
    post("wait", wait),
  ];
}
