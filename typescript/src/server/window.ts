/** The ids of recent messages, to detect repeated ones. */

const AGE = 120_000;
const SIZE = 1 << 14;

/** Remembers each id for at least two minutes, unless more than 16,384 newer ones arrive. */
export class Window {
  readonly #seen = new Map<string, number>();

  /**
   * Remembers an id, and returns whether it is new. A message without an id always counts as new.
   */
  add(id: string): boolean {
    if (!id) {
      return true;
    }
    const now = performance.now();
    for (const [oldest, at] of this.#seen) {
      if (now - at <= AGE && this.#seen.size < SIZE) {
        break;
      }
      this.#seen.delete(oldest);
    }
    if (this.#seen.has(id)) {
      return false;
    }
    this.#seen.set(id, now);
    return true;
  }

  /** Forgets the id of a message that did not start, so that it may be sent again. */
  forget(id: string): void {
    this.#seen.delete(id);
  }
}
