/**
 * /skein/v1/stacks: whole compose files, deployed as one. Edge: to the manager's Stacks service.
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
import type { Route } from "./route.js";

const ROOT = "/skein/v1/stacks";
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

export function stackRoutes(options: StackRoutesOptions): Route[] {
  const { clients } = options;
  return [
    {
      method: "GET",
      path: ROOT,
      handle: async () => {
        const { stacks } = await clients.stacks((client) => client.listStacks, {});
        return { status: 200, json: asJson(stacks.map(summaryOut)) };
      },
    },
    {
      method: "POST",
      path: `${ROOT}/:name`,
      handle: async (exchange) => {
        const body = await exchange.body({ required: true });
        const request = deployStackIn(exchange.param("name"), body);
        const reply = await clients.stacks((client) => client.deployStack, request);
        return accepted({ ...reply, warnings: [...reply.warnings, ...unreadWarnings(body)] });
      },
    },
    {
      method: "POST",
      path: `${ROOT}/:name/plan`,
      handle: async (exchange) => {
        const body = await exchange.body({ required: true });
        const request = deployStackIn(exchange.param("name"), body);
        const reply = await clients.stacks((client) => client.planStack, { ...request, dryRun: true });
        const { plan } = reply;
        return {
          status: 200,
          json: asJson({
            Changes: changesOut(reply.changes),
            ...(plan === undefined ? {} : { Plan: planReplyOut({ plan, losses: [], nodesLeftOut: 0 }) }),
            Fits: plan?.fits ?? true,
            Warnings: [...reply.warnings, ...unreadWarnings(body)],
          }),
        };
      },
    },
    {
      method: "GET",
      path: `${ROOT}/:name`,
      handle: async (exchange) => {
        const name = exchange.param("name");
        const { stack } = await clients.stacks((client) => client.getStack, { id: name });
        // its services' counts are told by the first line of its progress alone
        const first = await firstOf(clients.watchStack(name, exchange.gone()));
        return { status: 200, json: asJson(stateOut(name, first ?? { stack, counts: [] })) };
      },
    },
    { method: "GET", path: `${ROOT}/:name/progress`, handle: (exchange) => progress(exchange, options) },
    {
      method: "GET",
      path: `${ROOT}/:name/revisions`,
      handle: async (exchange) => {
        const id = exchange.param("name");
        const { revisions } = await clients.stacks((client) => client.listRevisions, { id });
        return {
          status: 200,
          json: asJson(revisions.map((revision) => revisionOut(revision, { whole: false }))),
        };
      },
    },
    {
      method: "GET",
      path: `${ROOT}/:name/revisions/:number`,
      handle: async (exchange) => {
        const wanted = {
          stack: exchange.param("name"),
          number: numberIn(exchange.param("number"), "revision"),
        };
        const { revision } = await clients.stacks((client) => client.getRevision, wanted);
        return { status: 200, json: revision && asJson(revisionOut(revision, { whole: true })) };
      },
    },
    {
      method: "GET",
      path: `${ROOT}/:name/diff`,
      handle: (exchange) => diff(exchange.param("name"), exchange.query, clients),
    },
    {
      method: "POST",
      path: `${ROOT}/:name/rollback`,
      handle: async (exchange) => {
        const body = await exchange.body();
        const request = rollbackStackIn(exchange.param("name"), body);
        const reply = await clients.stacks((client) => client.rollbackStack, request);
        return accepted({ ...reply, warnings: [...reply.warnings, ...unreadWarnings(body)] });
      },
    },
    {
      method: "DELETE",
      path: `${ROOT}/:name`,
      handle: async (exchange) => {
        const request = { name: exchange.param("name"), madeBy: exchange.query.get("by") ?? "" };
        await clients.stacks((client) => client.removeStack, request);
        return { status: 204 };
      },
    },
  ];
}

function accepted(reply: Parameters<typeof acceptedOut>[0]): Reply {
  return { status: reply.changed ? 202 : 200, json: asJson(acceptedOut(reply)) };
}

async function diff(name: string, query: URLSearchParams, clients: ManagerClients): Promise<Reply> {
  const [from, to] = [query.get("from"), query.get("to")].map((text) => numberIn(text ?? "0", "revision"));
  const request = { name, from: from ?? 0, to: to ?? 0 };
  const { changes } = await clients.stacks((client) => client.diffStack, request);
  return { status: 200, json: asJson({ Changes: changesOut(changes) }) };
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
