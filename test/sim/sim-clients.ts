/**
 * The clients of a run: each has one question out at a time, and remembers what it asked and heard.
 * Pure. Writes go to whoever leads, or believes so; reads go to anybody.
 */
import type { SimHistory } from "./sim-history.js";
import type { SimMember } from "./sim-member.js";
import { type Command, encodeCommand, inputOf, KEYS, outputOf } from "./sim-registers.js";
import type { SimEvent } from "./sim-schedule.js";
import type { SimWorld } from "./sim-world.js";

const CLIENTS = 10;
/** Then a client goes on to the next question, without an answer to this one. */
const PATIENCE_MS = 1_500;
const PADDING_MAX = 100;

type Draws = SimEvent["draws"];

export class SimClients {
  readonly #world: SimWorld;
  readonly #history: SimHistory;
  /** Until when each one waits. */
  readonly #busyUntil = new Array<number>(CLIENTS).fill(0);
  /** What a client saw last under each key, for comparing. */
  readonly #seen = new Array<number>(KEYS).fill(0);

  constructor(world: SimWorld, history: SimHistory) {
    this.#world = world;
    this.#history = history;
  }

  write([who, what, where, padding]: Draws): void {
    const client = this.#free(who);
    const target = this.#believer(where);
    if (client === undefined || target === undefined) return;
    const operation = this.#world.nextOperation();
    const key = Math.floor(what * KEYS);
    this.#propose(client, target, { operation, kind: "write", key, value: operation }, padding);
  }

  compareAndSet([who, what, where, padding]: Draws): void {
    const client = this.#free(who);
    const target = this.#believer(where);
    if (client === undefined || target === undefined) return;
    const operation = this.#world.nextOperation();
    const key = Math.floor(what * KEYS);
    const expected = (what * 100) % 1 < 0.15 ? operation - 1 : (this.#seen[key] ?? 0);
    const command = { operation, kind: "compare-and-set", key, expected, value: operation } as const;
    this.#propose(client, target, command, padding);
  }

  read([who, what, where]: Draws): void {
    const client = this.#free(who);
    const up = this.#world.upMembers();
    const target = up[Math.floor(where * up.length)];
    if (client === undefined || target === undefined) return;
    const { queue, checker } = this.#world;
    const floor = checker.maxAcknowledged;
    const key = Math.floor(what * KEYS);
    const call = this.#history.call(client, { kind: "read", key: `k${key}` }, queue.now);
    this.#busyUntil[client] = queue.now + PATIENCE_MS;
    target.read((how) => {
      this.#busyUntil[client] = 0;
      if (how === "refused") {
        call.refused();
        return;
      }
      checker.readAnswered(target.id, how.index, floor);
      const value = how.state.values[key] ?? 0;
      this.#seen[key] = value;
      call.answered({ kind: "read", value }, queue.now);
    });
  }

  /** Entries that touch no register: they fill windows and bounds. */
  burst([count, padding, where]: Draws): void {
    const target = this.#believer(where);
    if (target === undefined) return;
    const { checker } = this.#world;
    for (let left = 1 + Math.floor(count * 8); left > 0; left--) {
      const operation = this.#world.nextOperation();
      const data = encodeCommand(
        { operation, kind: "filler" },
        Math.floor(padding * PADDING_MAX * left) % 400,
      );
      target.propose(operation, data, (how) => {
        if (how.kind === "applied") checker.acknowledge(operation, how.index);
      });
    }
  }

  #propose(
    client: number,
    target: SimMember,
    command: Exclude<Command, { kind: "filler" }>,
    padding: number,
  ): void {
    const { queue, checker } = this.#world;
    const call = this.#history.call(client, inputOf(command), queue.now);
    this.#busyUntil[client] = queue.now + PATIENCE_MS;
    const data = encodeCommand(command, Math.floor(padding * PADDING_MAX));
    target.propose(command.operation, data, (how) => {
      this.#busyUntil[client] = 0;
      if (how.kind === "refused") {
        call.refused();
        return;
      }
      checker.acknowledge(command.operation, how.index);
      if (how.isDone) this.#seen[command.key] = command.value;
      call.answered(outputOf(command, how.isDone), queue.now);
    });
  }

  #free(draw: number): number | undefined {
    const client = Math.floor(draw * CLIENTS);
    return (this.#busyUntil[client] ?? 0) > this.#world.queue.now ? undefined : client;
  }

  #believer(draw: number): SimMember | undefined {
    const believers = this.#world.members.filter(({ core }) => core?.isLeader === true);
    return believers[Math.floor(draw * believers.length)];
  }
}
