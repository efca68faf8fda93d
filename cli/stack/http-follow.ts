/**
 * Follows a stack's deployment to its end. Edge: to the API, the clock, the terminal and Ctrl-C.
 * Ctrl-C ends the following alone. A stream that breaks is opened again: the deployment is the cluster's and
 * goes on while a manager or the daemon is away.
 */
import type { Clock } from "../../base/clock/clock.js";
import { systemClock } from "../../base/clock/system-clock.js";
import { CancelledError, messageOf, UnavailableError } from "../../base/errors/errors.js";
import type { Context } from "../context.js";
import { ApiError } from "../http-client.js";
import { findState, streamProgress } from "./http-stacks.js";
import { type Followed, type Outcome, outcomeOf } from "./outcome.js";
import { PlainStackView, type StackView, TerminalStackView } from "./stack-progress.js";

export interface FollowOptions extends Followed {
  readonly quiet?: boolean;
  /** @default the machine's */
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  /** Ends the following; @default the process's interrupt */
  readonly view?: StackView;
}

/** Without a word from the daemon for that long, the command gives up; the deployment does not. */
const AWAY_MS_MAX = 60_000;
const PAUSE_MS_MIN = 100;
const PAUSE_MS_MAX = 2_000;

/** @throws {Error} how it failed; {CancelledError} at Ctrl-C; {UnavailableError} the daemon stays away. */
export async function followStack(context: Context, options: FollowOptions): Promise<string> {
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort();
  process.once("SIGINT", onInterrupt);
  options.signal?.addEventListener("abort", onInterrupt, { once: true });
  const view = options.view ?? viewOf(context, options.quiet === true);
  try {
    const outcome = await follow(context, options, { view, signal: stop.signal });
    view.end();
    if (outcome.kind === "failed") throw new Error(outcome.text);
    return outcome.text;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    const what = options.verb === "remove" ? "removal" : "deployment";
    throw new CancelledError(
      `interrupted: the ${what} goes on in the cluster; 'skein stack status ${options.stack}' shows how`,
      { cause: error },
    );
  } finally {
    process.off("SIGINT", onInterrupt);
    stop.abort();
  }
}

function viewOf(context: Context, quiet: boolean): StackView {
  const write = (text: string): void => void process.stdout.write(text);
  if (quiet) return { show: () => undefined, end: () => undefined };
  if (!context.terminal) return new PlainStackView(write);
  return new TerminalStackView(write, () => ({
    columns: process.stdout.columns || 80,
    rows: process.stdout.rows || 24,
  }));
}

async function follow(
  context: Context,
  options: FollowOptions,
  { view, signal }: { readonly view: StackView; readonly signal: AbortSignal },
): Promise<Exclude<Outcome, { kind: "going" }>> {
  const clock = options.clock ?? systemClock;
  let lastWordMs = clock.monotonicMs();
  let pauseMs = PAUSE_MS_MIN;
  for (;;) {
    let away: unknown;
    try {
      for await (const state of streamProgress(context, options.stack, signal)) {
        lastWordMs = clock.monotonicMs();
        pauseMs = PAUSE_MS_MIN;
        const outcome = outcomeOf(state, options);
        // what another deployment does is not this one's progress
        if (outcome.kind !== "going" || state.Revision === options.revision || options.revision === 0)
          view.show(state);
        if (outcome.kind !== "going") return outcome;
      }
      // The server ends the stream when the deployment has ended: its last line may be the one before.
      const outcome = await lookOnce(context, options);
      if (outcome.kind !== "going") return outcome;
    } catch (error) {
      if (signal.aborted || (error instanceof ApiError && error.status !== 503)) {
        const gone = goneOutcome(error, options);
        if (gone === undefined) throw error;
        return gone;
      }
      away = error;
    }
    signal.throwIfAborted();
    if (clock.monotonicMs() - lastWordMs >= AWAY_MS_MAX)
      throw new UnavailableError(
        `the daemon did not answer for ${AWAY_MS_MAX / 1000} s` +
          `${away === undefined ? "" : ` (${messageOf(away)})`}: ` +
          `'skein stack status ${options.stack}' shows how it went`,
        { cause: away },
      );
    await clock.sleep(pauseMs, { signal });
    pauseMs = Math.min(PAUSE_MS_MAX, pauseMs * 2);
  }
}

async function lookOnce(context: Context, options: FollowOptions): Promise<Outcome> {
  const state = await findState(context, options.stack);
  if (state !== undefined) return outcomeOf(state, options);
  return goneOutcome(new ApiError(404, ""), options) ?? { kind: "going" };
}

function goneOutcome(
  error: unknown,
  { stack, verb, revision }: Followed,
): Exclude<Outcome, { kind: "going" }> | undefined {
  if (!(error instanceof ApiError) || error.status !== 404) return undefined;
  return verb === "remove"
    ? { kind: "reached", text: `Stack ${stack} is removed` }
    : { kind: "failed", text: `stack ${stack} was removed while revision ${revision} was deployed` };
}
