/**
 * The newest events of this engine, and whoever follows them.
 * Pure. Bounded: 256 events are kept, as many as Docker keeps; tasks, of which Docker tells nothing, have as
 * many places of their own, so that a large service does not push out all else; and 4 MiB. Invariant: a
 * follower gets what is kept and what comes after it without a gap and without repetition.
 */

export interface EngineEvent {
  readonly type: string;
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly scope: "local" | "swarm";
  /** Milliseconds since 1970. */
  readonly timeMs: number;
}

export interface EventFollower {
  readonly onEvent: (event: EngineEvent) => void;
  /** Events of the cluster may have been missed: whoever must know all has to ask again. */
  readonly onGap: () => void;
}

export interface FollowedEvents {
  /** What was kept at the moment of following, oldest first. */
  readonly past: readonly EngineEvent[];
  readonly stop: () => void;
}

/** Events kept, and events of tasks kept beside them. */
export const EVENTS_KEPT_MAX = 256;
/** Characters of attributes kept: labels of a container may be long. */
const KEPT_CHARACTERS_MAX = 4 * 1024 * 1024;

interface Kept {
  readonly event: EngineEvent;
  readonly order: number;
  readonly characters: number;
}

export class EventJournal {
  readonly #tasks: Kept[] = [];
  readonly #others: Kept[] = [];
  readonly #followers = new Set<EventFollower>();
  #characters = 0;
  #order = 0;

  /** How many follow now. */
  get followers(): number {
    return this.#followers.size;
  }

  add(event: EngineEvent): void {
    const list = event.type === "task" ? this.#tasks : this.#others;
    const characters = charactersOf(event);
    list.push({ event, order: this.#order++, characters });
    this.#characters += characters;
    if (list.length > EVENTS_KEPT_MAX) this.#drop(list);
    while (this.#characters > KEPT_CHARACTERS_MAX) this.#drop(this.#longer());
    for (const follower of [...this.#followers]) follower.onEvent(event);
  }

  /** Events of the cluster were lost: those who follow are told, once. */
  gap(): void {
    for (const follower of [...this.#followers]) follower.onGap();
  }

  /** @returns what is kept; from now on the follower is told of each event, until it stops. */
  follow(follower: EventFollower): FollowedEvents {
    this.#followers.add(follower);
    const kept = [...this.#tasks, ...this.#others].sort((a, b) => a.order - b.order);
    return {
      past: kept.map(({ event }) => event),
      stop: () => {
        this.#followers.delete(follower);
      },
    };
  }

  #longer(): Kept[] {
    return this.#tasks.length > this.#others.length ? this.#tasks : this.#others;
  }

  #drop(list: Kept[]): void {
    this.#characters -= list.shift()?.characters ?? 0;
  }
}

function charactersOf({ id, attributes }: EngineEvent): number {
  let characters = id.length;
  for (const [key, value] of Object.entries(attributes)) characters += key.length + value.length;
  return characters;
}
