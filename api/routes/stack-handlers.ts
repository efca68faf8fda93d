/**
 * What the routes of stacks do. Edge: to the manager's Stacks service.
 * Shapes: proto/stack-api.ts. Bounds: the progress of a stack is one line per change, the newest alone where
 * a client is slow; while no manager answers it is asked again for a minute.
 */
import { codeOf, InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import { Backoff } from "../../base/loop/backoff.js";
import type { Random } from "../../base/random/random.js";
import type { StackUpdate } from "../../proto/gen/skein/v1/stacks.js";
import type { Fields } from "../convert/fields.js";
import type { JsonObject, JsonValue } from "../convert/shape.js";
import { deployStackIn, rollbackStackIn } from "../convert/stack-in.js";
import { acceptedOut, changesOut, revisionOut, stateOut, summaryOut } from "../convert/stack-out.js";
import type { Exchange, Reply } from "../http-exchange.js";
import type { ManagerClients } from "../manager-clients.js";
import { planReplyOut } from "./plan-routes.js";

/** A lost manager is asked again: after so long a pause, growing. */
const RETRY = { initialMs: 50, maxMs: 1_000 };
/** How long a manager is asked again in vain until the stream ends with the error. */
const LOST_MS_MAX = 60_000;

export interface StackRoutesOptions {
  readonly clients: ManagerClients;
  readonly random: Random;
  readonly clock: { readonly monotonicMs: () => number; readonly sleep: (ms: number) => Promise<void> };
}

/** Fields that were given and that nothing honours: each is named in a warning. */
function unreadWarnings(body: Fields): string[] {
  return body.unread().map((path) => `${path.replace(/^body\./, "")} is not supported and has no effect`);
}

export class StackHandlers {
  readonly #options: StackRoutesOptions;
  readonly #clients: ManagerClients;

  constructor(options: StackRoutesOptions) {
    this.#options = options;
    this.#clients = options.clients;
  }

  async list(): Promise<Reply> {
    const { stacks } = await this.#clients.stacks((client) => client.listStacks, {});
    return { status: 200, json: asJson(stacks.map(summaryOut)) };
  }

  async deploy(exchange: Exchange): Promise<Reply> {
    const body = await exchange.body({ required: true });
    const request = deployStackIn(exchange.param("name"), body);
    const reply = await this.#clients.stacks((client) => client.deployStack, request);
    return accepted({ ...reply, warnings: [...reply.warnings, ...unreadWarnings(body)] });
  }

  async plan(exchange: Exchange): Promise<Reply> {
    const body = await exchange.body({ required: true });
    const request = { ...deployStackIn(exchange.param("name"), body), dryRun: true };
    const { changes, plan, warnings } = await this.#clients.stacks((client) => client.planStack, request);
    return {
      status: 200,
      json: asJson({
        Changes: changesOut(changes),
        ...(plan === undefined ? {} : { Plan: planReplyOut({ plan, losses: [], nodesLeftOut: 0 }) }),
        Fits: plan?.fits ?? true,
        Warnings: [...warnings, ...unreadWarnings(body)],
      }),
    };
  }

  async state(exchange: Exchange): Promise<Reply> {
    const name = exchange.param("name");
    const { stack } = await this.#clients.stacks((client) => client.getStack, { id: name });
    // its services' counts are told by the first line of its progress alone
    const first = await firstOf(this.#clients.watchStack(name, exchange.gone()));
    const update = first?.stack === undefined ? { stack, counts: [] } : first;
    return { status: 200, json: asJson(stateOut(name, update)) };
  }

  progress(exchange: Exchange): Promise<undefined> {
    return progress(exchange, this.#options);
  }

  async revisions(exchange: Exchange): Promise<Reply> {
    const id = exchange.param("name");
    const { revisions } = await this.#clients.stacks((client) => client.listRevisions, { id });
    return { status: 200, json: asJson(revisions.map((one) => revisionOut(one, { whole: false }))) };
  }

  async revision(exchange: Exchange): Promise<Reply> {
    const wanted = { stack: exchange.param("name"), number: numberIn(exchange.param("number"), "revision") };
    const { revision } = await this.#clients.stacks((client) => client.getRevision, wanted);
    return { status: 200, json: revision && asJson(revisionOut(revision, { whole: true })) };
  }

  async diff(exchange: Exchange): Promise<Reply> {
    const number = (key: string): number => numberIn(exchange.query.get(key) ?? "0", "revision");
    const request = { name: exchange.param("name"), from: number("from"), to: number("to") };
    const { changes } = await this.#clients.stacks((client) => client.diffStack, request);
    return { status: 200, json: asJson({ Changes: changesOut(changes) }) };
  }

  async rollback(exchange: Exchange): Promise<Reply> {
    const body = await exchange.body();
    const request = rollbackStackIn(exchange.param("name"), body);
    const reply = await this.#clients.stacks((client) => client.rollbackStack, request);
    return accepted({ ...reply, warnings: [...reply.warnings, ...unreadWarnings(body)] });
  }

  async remove(exchange: Exchange): Promise<Reply> {
    const request = { name: exchange.param("name"), madeBy: exchange.query.get("by") ?? "" };
    await this.#clients.stacks((client) => client.removeStack, request);
    return { status: 204 };
  }
}

function accepted(reply: Parameters<typeof acceptedOut>[0]): Reply {
  return { status: reply.changed ? 202 : 200, json: asJson(acceptedOut(reply)) };
}

/** @throws {InvalidArgumentError} */
function numberIn(text: string, what: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError(`a ${what} is given by its number, got ${JSON.stringify(text)}`);
}

/** Lines until the deployment has ended or the stack is gone, whichever manager leads meanwhile. */
async function progress(exchange: Exchange, options: StackRoutesOptions): Promise<undefined> {
  const { clients, random, clock } = options;
  const name = exchange.param("name");
  await clients.stacks((client) => client.getStack, { id: name }); // who asks for nothing gets a plain 404
  const signal = exchange.gone();
  const backoff = new Backoff(random, RETRY);
  exchange.startStream("application/json");
  let last = "";
  let lostSinceMs: number | undefined;
  while (!signal.aborted) {
    try {
      for await (const update of clients.watchStack(name, signal)) {
        lostSinceMs = undefined;
        backoff.reset();
        const line = JSON.stringify(stateOut(name, update));
        if (line !== last && !(await exchange.write(`${line}\n`))) return undefined;
        last = line;
      }
      break; // the manager ended it: there is no more to tell
    } catch (error) {
      const nowMs = clock.monotonicMs();
      lostSinceMs ??= nowMs;
      if (codeOf(error) !== "unavailable" || nowMs - lostSinceMs > LOST_MS_MAX) {
        await exchange.write(`${JSON.stringify({ message: messageOf(error) })}\n`);
        break;
      }
      await clock.sleep(backoff.nextMs());
    }
  }
  exchange.response.end();
  return undefined;
}

async function firstOf(updates: AsyncIterable<StackUpdate>): Promise<StackUpdate | undefined> {
  for await (const update of updates) return update;
  return undefined;
}

/** The shapes are JSON: strings, numbers, booleans, lists and objects of these. */
function asJson(shape: object): JsonValue {
  return shape as unknown as JsonObject;
}
