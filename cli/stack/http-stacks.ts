/**
 * Stacks through the API: one call for each thing that can be asked. Edge: to the API.
 * Source: proto/stack-api.ts.
 */

import { UnavailableError } from "../../base/errors/errors.js";
import type {
  RevisionSummary,
  RollbackBody,
  StackAccepted,
  StackChange,
  StackPlan,
  StackRequest,
  StackState,
  StackSummary,
} from "../../proto/stack-api.js";
import type { Context } from "../context.js";
import { ApiError } from "../http-client.js";

const pathOf = (stack: string, ...rest: readonly string[]): string =>
  ["/skein/v1/stacks", stack, ...rest]
    .map((part, i) => (i === 0 ? part : encodeURIComponent(part)))
    .join("/");

// What the daemon answers has the shapes of proto/stack-api.ts: the casts below rest on that.

export async function fetchStacks(context: Context): Promise<readonly StackSummary[]> {
  return (await context.client().call("GET", "/skein/v1/stacks")) as StackSummary[];
}

export async function fetchState(context: Context, stack: string): Promise<StackState> {
  return (await context.client().call("GET", pathOf(stack))) as StackState;
}

/** @returns undefined when there is no such stack. */
export async function findState(context: Context, stack: string): Promise<StackState | undefined> {
  try {
    return await fetchState(context, stack);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

export async function sendStack(
  context: Context,
  stack: string,
  body: StackRequest,
  signal?: AbortSignal,
): Promise<StackAccepted> {
  const options = { body, ...(signal === undefined ? {} : { signal }) };
  return (await context.client().call("POST", pathOf(stack), options)) as StackAccepted;
}

export async function planStack(context: Context, stack: string, body: StackRequest): Promise<StackPlan> {
  return (await context.client().call("POST", pathOf(stack, "plan"), { body })) as StackPlan;
}

/** Newest first. */
export async function fetchRevisions(context: Context, stack: string): Promise<readonly RevisionSummary[]> {
  return (await context.client().call("GET", pathOf(stack, "revisions"))) as RevisionSummary[];
}

export async function fetchRevision(
  context: Context,
  stack: string,
  revision: number,
): Promise<RevisionSummary> {
  const path = pathOf(stack, "revisions", String(revision));
  return (await context.client().call("GET", path)) as RevisionSummary;
}

/** 0 is what the cluster has now. */
export async function diffStack(
  context: Context,
  stack: string,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<readonly StackChange[]> {
  const query = { from: String(from), to: String(to) };
  const answer = await context.client().call("GET", pathOf(stack, "diff"), { query });
  return (answer as { Changes?: StackChange[] }).Changes ?? [];
}

export async function rollbackStack(
  context: Context,
  stack: string,
  body: RollbackBody,
): Promise<StackAccepted> {
  return (await context.client().call("POST", pathOf(stack, "rollback"), { body })) as StackAccepted;
}

/** @returns false when there is no such stack. */
export async function deleteStack(context: Context, stack: string, by: string): Promise<boolean> {
  try {
    await context.client().call("DELETE", pathOf(stack), { query: { by } });
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  }
}

/** A line of progress may be that long: a thousand services with their troubles. */
const LINE_BYTES_MAX = 8 * 1024 * 1024;

/** What happens to the stack's deployment, from now until it has ended. */
export async function* streamProgress(
  context: Context,
  stack: string,
  signal: AbortSignal,
): AsyncGenerator<StackState> {
  const stream = await context.client().stream("GET", pathOf(stack, "progress"), { signal });
  let rest = "";
  stream.setEncoding("utf8");
  for await (const chunk of stream) {
    const lines = `${rest}${chunk as string}`.split("\n"); // the encoding is set
    rest = lines.pop() ?? "";
    if (rest.length > LINE_BYTES_MAX) throw new Error("the daemon's progress is not JSON lines");
    // Each line tells everything: where several came at once, the last one is the news.
    const newest = lines.findLast((line) => line.trim() !== "");
    if (newest === undefined) continue;
    const told = JSON.parse(newest) as StackState | { readonly message: string };
    if ("message" in told) throw new UnavailableError(told.message); // no manager for too long
    yield told;
  }
}
