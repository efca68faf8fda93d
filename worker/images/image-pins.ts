/**
 * Digests in use by work under way, so that garbage collection leaves them alone until an image names them.
 * Pure. Invariant: a digest is pinned while at least one holder has not let go.
 */
export class Pins {
  readonly #counts = new Map<string, number>();

  has(digest: string): boolean {
    return this.#counts.has(digest);
  }

  hold(digests: readonly string[]): Disposable {
    for (const digest of digests) this.#counts.set(digest, (this.#counts.get(digest) ?? 0) + 1);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        for (const digest of digests) {
          const left = (this.#counts.get(digest) ?? 0) - 1;
          if (left > 0) this.#counts.set(digest, left);
          else this.#counts.delete(digest);
        }
      },
    };
  }

  /** Digests held one after the other, let go together. */
  group(): Disposable & { hold(digest: string): void } {
    const held: Disposable[] = [];
    return {
      hold: (digest) => void held.push(this.hold([digest])),
      [Symbol.dispose]: () => {
        for (const one of held.splice(0)) one[Symbol.dispose]();
      },
    };
  }
}
