/**
 * One client of the soak: does one thing after another, each through a manager drawn at random. Edge: to the
 * lab. Registers are configs that are changed by compare-and-set, slots are names that come and go, sets only
 * grow; names change with time, so that no key gathers operations of unknown outcome without end.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../base/random/random.js";
import type { LabHost } from "../support/lab/lab-host.js";
import type { ConfigInput, ConfigOutput } from "./config-model.js";
import { type Answer, isConnectFailure, outcomeOf } from "./outcome.js";
import type { SoakRecorder } from "./soak-record.js";

/** Keys of each kind at one time, and how long a name is used. */
const REGISTERS = 6;
const REGISTER_MS = 120_000;
const SLOTS = 4;
const SLOT_MS = 25_000;
const SET_MS = 20_000;
/** A client's patience, milliseconds: some less than a failover takes, some more. */
const PATIENCE_MS = [1_500, 4_000, 12_000];
const THINK_MS = 25;
const PAUSE_AFTER_FAILURE_MS = 150;

interface ConfigBody {
  readonly ID: string;
  readonly Version: { readonly Index: number };
  readonly Spec: { readonly Name: string; readonly Labels: Readonly<Record<string, string>> };
}

interface Seen {
  readonly id: string;
  readonly version: number;
  readonly value: string;
}

export interface SoakClientOptions {
  readonly name: string;
  readonly hosts: readonly LabHost[];
  readonly random: Random;
  readonly recorder: SoakRecorder;
}

export class SoakClient {
  readonly #options: SoakClientOptions;
  /** What this client saw last of each register. */
  readonly #seen = new Map<string, Seen>();
  #count = 0;
  /** Grows with every unknown outcome: what may still be under way is another client's, as in Jepsen. */
  #life = 1;

  constructor(options: SoakClientOptions) {
    this.#options = options;
  }

  /** Works until the signal fires; the operation under way then is finished. */
  async run(signal: AbortSignal): Promise<void> {
    const { random } = this.#options;
    while (!signal.aborted) {
      const worked = await this.#step();
      await sleep(
        worked ? random.int(0, THINK_MS) : random.int(PAUSE_AFTER_FAILURE_MS, 2 * PAUSE_AFTER_FAILURE_MS),
      );
    }
  }

  #step(): Promise<boolean> {
    const { random, recorder } = this.#options;
    const now = recorder.now();
    const register = `r${Math.floor(now / REGISTER_MS)}-${random.int(0, REGISTERS)}`;
    const slot = `s${Math.floor(now / SLOT_MS)}-${random.int(0, SLOTS)}`;
    const set = `g${Math.floor(now / SET_MS)}`;
    const die = random.int(0, 100);
    if (die < 30) return this.#read(register, true);
    if (die < 60) return this.#change(register);
    if (die < 70) return this.#read(slot, false);
    if (die < 80) return this.#create(slot);
    if (die < 87) return this.#remove(slot);
    if (die < 95) return this.#add(set);
    return this.#readSet(set);
  }

  async #read(name: string, isRegister: boolean): Promise<boolean> {
    const { host, answer, callAt, returnAt } = await this.#ask("GET", `/configs/${name}`);
    const found = answer.status === 200 ? seenIn(answer.json as ConfigBody) : undefined; // Docker's
    if (isRegister && found !== undefined) this.#seen.set(name, found);
    const isAnswer = found !== undefined || answer.status === 404;
    this.#options.recorder.config({
      client: this.#name(),
      host,
      input: { kind: "read", name },
      outcome: isAnswer ? "ok" : "unknown",
      output: isAnswer ? { kind: "value", value: found?.value } : undefined,
      callAt,
      returnAt,
      ...(isAnswer ? {} : { why: whyOf(answer) }),
      ...(found === undefined ? {} : { version: found.version }),
    });
    return isAnswer;
  }

  async #change(name: string): Promise<boolean> {
    if (!this.#seen.has(name) && !(await this.#read(name, true))) return false;
    const seen = this.#seen.get(name);
    if (seen === undefined) return this.#create(name);
    this.#seen.delete(name); // used once: the next change begins with a read
    const value = this.#value();
    return this.#write(
      { kind: "update", name, expected: seen.value, value },
      "POST",
      `/configs/${seen.id}/update?version=${seen.version}`,
      { Name: name, Labels: { value }, Data: "" },
    );
  }

  #create(name: string): Promise<boolean> {
    const value = this.#value();
    const body = { Name: name, Labels: { value }, Data: "eA==" };
    return this.#write({ kind: "create", name, value }, "POST", "/configs/create", body);
  }

  #remove(name: string): Promise<boolean> {
    return this.#write({ kind: "remove", name }, "DELETE", `/configs/${name}`);
  }

  async #write(input: ConfigInput, method: string, path: string, body?: unknown): Promise<boolean> {
    const { host, answer, callAt, returnAt } = await this.#ask(method, path, body);
    const output = outputOf(input, answer);
    // A create that answers 404 was made, and removed before it was read back for the reply.
    const outcome = output !== undefined ? "ok" : answer.status === 404 ? "unknown" : outcomeOf(answer);
    this.#options.recorder.config({
      client: this.#name(),
      host,
      input,
      outcome,
      output,
      callAt,
      returnAt,
      ...(output?.kind === "done" ? {} : { why: whyOf(answer) }),
    });
    if (outcome === "unknown") this.#life += 1;
    return outcome === "ok";
  }

  async #add(key: string): Promise<boolean> {
    const value = `${key}-${this.#value()}`;
    const body = { Name: value, Labels: { set: key }, Data: "eA==" };
    const { host, answer, callAt, returnAt } = await this.#ask("POST", "/configs/create", body);
    const outcome = outcomeOf(answer);
    this.#options.recorder.set({
      client: this.#name(),
      host,
      input: { kind: "add", key, value },
      outcome,
      output: outcome === "ok" ? { kind: "added" } : undefined,
      callAt,
      returnAt,
      ...(outcome === "ok" ? {} : { why: whyOf(answer) }),
    });
    if (outcome === "unknown") this.#life += 1;
    return outcome === "ok";
  }

  async #readSet(key: string): Promise<boolean> {
    const filters = encodeURIComponent(JSON.stringify({ label: [`set=${key}`] }));
    const { host, answer, callAt, returnAt } = await this.#ask("GET", `/configs?filters=${filters}`);
    const found = answer.status === 200;
    this.#options.recorder.set({
      client: this.#name(),
      host,
      input: { kind: "read", key },
      outcome: found ? "ok" : "unknown",
      output: found ? { kind: "read", values: namesIn(answer.json as readonly ConfigBody[]) } : undefined,
      callAt,
      returnAt,
      ...(found ? {} : { why: whyOf(answer) }),
    });
    return found;
  }

  async #ask(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ host: string; answer: Answer; callAt: number; returnAt: number }> {
    const { hosts, random, recorder } = this.#options;
    const host = hosts[random.int(0, hosts.length)];
    const timeoutMs = PATIENCE_MS[random.int(0, PATIENCE_MS.length)] ?? 4_000;
    if (host === undefined) throw new Error("a soak client needs a host");
    const callAt = recorder.now();
    const answer = await ask(host, method, path, body, timeoutMs);
    return { host: host.name, answer, callAt, returnAt: recorder.now() };
  }

  #name(): string {
    return `${this.#options.name}.${this.#life}`;
  }

  #value(): string {
    this.#count += 1;
    return `${this.#options.name}-${this.#count}`;
  }
}

/** Never throws. */
export async function ask(
  host: LabHost,
  method: string,
  path: string,
  body: unknown,
  timeoutMs: number,
): Promise<Answer> {
  try {
    const { status, json, body: text } = await host.api(method, path, body, { timeoutMs });
    return { status, json, sent: true, message: (json as { message?: string } | undefined)?.message ?? text };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { status: 0, json: undefined, sent: !isConnectFailure(error), message };
  }
}

function outputOf(input: ConfigInput, { status, message }: Answer): ConfigOutput | undefined {
  if (status >= 200 && status < 300) return { kind: "done" };
  if (input.kind === "create" && status === 409) return { kind: "conflict" };
  if (input.kind === "update" && status === 409 && /out of sequence/.test(message))
    return { kind: "conflict" };
  if (input.kind !== "create" && status === 404) return { kind: "absent" };
  return undefined;
}

const whyOf = ({ status, message }: Answer): string => `${status} ${message.trim().slice(0, 300)}`;

function seenIn({ ID, Version, Spec }: ConfigBody): Seen {
  return { id: ID, version: Version.Index, value: Spec.Labels["value"] ?? "" };
}

function namesIn(configs: readonly ConfigBody[]): string[] {
  return configs.map(({ Spec }) => Spec.Name);
}

/** All configs at one instant, as one manager answers: by the end each key's last read. */
export async function readEverything(host: LabHost, recorder: SoakRecorder): Promise<Map<string, Seen>> {
  const callAt = recorder.now();
  const answer = await ask(host, "GET", "/configs", undefined, 30_000);
  const returnAt = recorder.now();
  if (answer.status !== 200) throw new Error(`GET /configs on ${host.name} answered ${whyOf(answer)}`);
  const configs = answer.json as readonly ConfigBody[]; // as Docker documents
  const all = new Map(configs.map((config) => [config.Spec.Name, seenIn(config)]));
  const sets = new Map<string, string[]>();
  for (const { Spec } of configs) {
    const key = Spec.Labels["set"];
    if (key !== undefined) sets.set(key, [...(sets.get(key) ?? []), Spec.Name]);
  }
  const common = { client: `end-${host.name}`, host: host.name, outcome: "ok", callAt, returnAt } as const;
  for (const key of new Set(recorder.sets.map(({ input }) => input.key))) {
    const values = sets.get(key) ?? [];
    recorder.set({ ...common, input: { kind: "read", key }, output: { kind: "read", values } });
  }
  for (const name of new Set(recorder.configs.map(({ input }) => input.name))) {
    const found = all.get(name);
    recorder.config({
      ...common,
      input: { kind: "read", name },
      output: { kind: "value", value: found?.value },
      ...(found === undefined ? {} : { version: found.version }),
    });
  }
  return all;
}
