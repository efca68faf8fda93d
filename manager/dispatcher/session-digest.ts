/**
 * What a manager and the leader compare instead of lists: how many sessions there are, and a digest over
 * them.
 * Pure. Invariant: the same sessions give the same digest, in whatever order they came and went.
 * Source: FNV-1a, combined by exclusive or, so that it is kept up to date at the cost of a change.
 */

/** Of one session: 32 bits. */
export function sessionHash(nodeId: string, sessionId: string): number {
  let hash = 0x811c9dc5;
  for (const text of [nodeId, "/", sessionId]) {
    for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash >>> 0;
}

export class SessionDigest {
  count = 0;
  #digest = 0;

  /** Unsigned, 32 bits. */
  get digest(): number {
    return this.#digest;
  }

  add(nodeId: string, sessionId: string): void {
    this.count += 1;
    this.#digest = (this.#digest ^ sessionHash(nodeId, sessionId)) >>> 0;
  }

  remove(nodeId: string, sessionId: string): void {
    this.count -= 1;
    this.#digest = (this.#digest ^ sessionHash(nodeId, sessionId)) >>> 0;
  }
}
