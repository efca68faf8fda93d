/**
 * Waits until services run as specified. Edge: to the API, the clock and Ctrl-C.
 * The event stream says when to look again; a look each second covers events that are lost. Ctrl-C ends the
 * waiting alone.
 */
import type { Clock } from "../../base/clock/clock.js";
import { systemClock } from "../../base/clock/system-clock.js";
import { CancelledError, messageOf } from "../../base/errors/errors.js";
import { type Context, fetchRows, textOf } from "../context.js";
import type { Row } from "../output/table.js";
import { type Convergence, convergenceOf } from "./convergence.js";
import { PlainProgress, type ProgressView, TerminalProgress } from "./progress-view.js";

/** Milliseconds between looks when no event comes. */
const LOOK_PERIOD_MS = 1_000;
/** A line of the event stream may be that long; a longer one is not an event. */
const EVENT_BYTES_MAX = 1024 * 1024;

export interface WatchedService {
  readonly id: string;
  readonly name: string;
}

export interface WatchOptions {
  readonly quiet?: boolean;
  /** The services were asked to go back to their previous specification. */
  readonly rollback?: boolean;
  /** @default the machine's */
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

/** @throws {Error} naming the services that will not converge; {CancelledError} at Ctrl-C. */
export async function waitForServices(
  context: Context,
  services: readonly WatchedService[],
  options: WatchOptions = {},
): Promise<void> {
  if (services.length === 0) return;
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort();
  process.once("SIGINT", onInterrupt);
  options.signal?.addEventListener("abort", onInterrupt, { once: true });
  const view = viewOf(context, options.quiet === true, services.length > 1);
  const events = new EventSignal(context, stop.signal);
  try {
    await converge(context, services, {
      view,
      events,
      clock: options.clock ?? systemClock,
      rollback: options.rollback === true,
      signal: stop.signal,
    });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    const [first] = services;
    const hint = services.length === 1 ? `skein service ps ${first?.name}` : "skein service ls";
    throw new CancelledError(
      `interrupted: the operation continues in the background; '${hint}' shows how it goes`,
      { cause: error },
    );
  } finally {
    process.off("SIGINT", onInterrupt);
    stop.abort();
  }
}

function viewOf(context: Context, quiet: boolean, several: boolean): ProgressView {
  const write = (text: string): void => void process.stdout.write(text);
  if (quiet) return { show: () => undefined, end: () => undefined };
  if (!context.terminal) return new PlainProgress(write, { several });
  return new TerminalProgress(write, { several, columns: () => process.stdout.columns || 80 });
}

interface Waiting {
  readonly view: ProgressView;
  readonly events: EventSignal;
  readonly clock: Clock;
  readonly rollback: boolean;
  readonly signal: AbortSignal;
}

async function converge(
  context: Context,
  services: readonly WatchedService[],
  waiting: Waiting,
): Promise<void> {
  const { view, events, clock, rollback, signal } = waiting;
  const open = new Map(services.map((service) => [service.id, service]));
  const failures: string[] = [];
  let touched: ReadonlySet<string> | undefined; // undefined: all
  while (open.size > 0) {
    signal.throwIfAborted();
    const looks = [...open.values()].filter(({ id }) => touched?.has(id) ?? true);
    const found = await Promise.all(
      looks.map(async (service) => ({
        service,
        progress: await look(context, service, { rollback, signal }),
      })),
    );
    for (const { service, progress } of found) {
      view.show(service.name, progress);
      if (progress.failure !== undefined)
        failures.push(services.length > 1 ? `${service.name}: ${progress.failure}` : progress.failure);
      if (progress.done || progress.failure !== undefined) open.delete(service.id);
    }
    if (open.size > 0) touched = await events.next(open, { clock, timeoutMs: LOOK_PERIOD_MS });
  }
  view.end();
  if (failures.length > 0) throw new Error(failures.join("\n"));
}

async function look(
  context: Context,
  { id, name }: WatchedService,
  options: { rollback: boolean; signal: AbortSignal },
): Promise<Convergence> {
  const filters = (object: object): Record<string, string> => ({ filters: JSON.stringify(object) });
  const [services, tasks] = await Promise.all([
    fetchRows(context, "/services", { ...filters({ id: [id] }), status: "true" }),
    fetchRows(context, "/tasks", filters({ service: [id], "_up-to-date": ["true"] })),
  ]);
  const service = services.find((each) => each["ID"] === id);
  if (service === undefined) throw new Error(`service ${name} was removed while it was waited for`);
  return convergenceOf(service, tasks, options);
}

/** Says which services something happened to. */
class EventSignal {
  readonly #stop: AbortSignal;
  #touched = new Set<string>();
  #wake: () => void = () => undefined;

  constructor(context: Context, stop: AbortSignal) {
    this.#stop = stop;
    stop.addEventListener("abort", () => this.#wake(), { once: true });
    this.#follow(context).catch((error: unknown) => {
      // Without events the look each second remains.
      if (!stop.aborted)
        context.note(`Warning: no events from the daemon (${messageOf(error)}): looking once a second`);
    });
  }

  /** @returns ids among `open` that were touched; undefined after the timeout: look at all. */
  next(
    open: ReadonlyMap<string, unknown>,
    options: { clock: Clock; timeoutMs: number },
  ): Promise<ReadonlySet<string> | undefined> {
    return new Promise((resolve) => {
      const timer = options.clock.setTimer(options.timeoutMs, () => {
        this.#wake = () => undefined;
        resolve(undefined);
      });
      this.#wake = () => {
        const mine = new Set([...this.#touched].filter((id) => open.has(id)));
        this.#touched = new Set();
        if (mine.size === 0 && !this.#stop.aborted) return;
        this.#wake = () => undefined;
        timer.cancel();
        resolve(mine);
      };
      this.#wake();
    });
  }

  async #follow(context: Context): Promise<void> {
    const query = { filters: JSON.stringify({ type: ["service", "task"] }) };
    const stream = await context.client().stream("GET", "/events", { query, signal: this.#stop });
    let rest = "";
    for await (const chunk of stream) {
      const lines = `${rest}${(chunk as Buffer).toString("utf8")}`.split("\n"); // no encoding is set
      rest = lines.pop() ?? "";
      if (rest.length > EVENT_BYTES_MAX) rest = "";
      // one object a line
      for (const line of lines.filter((each) => each.trim() !== "")) this.#note(JSON.parse(line) as Row);
      this.#wake();
    }
  }

  #note(event: Row): void {
    // Docker's event
    const actor = event["Actor"] as { ID?: string; Attributes?: Record<string, string> } | undefined;
    const id = event["Type"] === "task" ? actor?.Attributes?.["service.id"] : actor?.ID;
    this.#touched.add(textOf(id));
  }
}
