/** Passes reports of missed messages to a server's program. */

import { textOf } from "../errors.js";
import type { Logger } from "../log.js";

/**
 * The minimum time between two notifications, in milliseconds. The program may have to read all its
 * data again.
 */
const EVERY = 10_000;

/** Passes on the first report at once, and later ones together, at most every 10 seconds. */
export class Reports {
  readonly #missed: (reason: string) => void;
  readonly #log: Logger;
  readonly #began = performance.now();
  #reason = "";
  #timer: NodeJS.Timeout | undefined;

  constructor(missed: (reason: string) => void, log: Logger) {
    this.#missed = missed;
    this.#log = log;
  }

  /**
   * Handles a report of a message that failed `ago` milliseconds ago. A server that started later
   * ignores it.
   */
  tell(ago: number): void {
    if (performance.now() - this.#began <= ago) {
      return;
    }
    this.#reason ||= `a sender could not deliver a message ${(ago / 1000).toFixed(3)} s ago`;
    if (this.#timer === undefined) {
      this.#serve();
    }
  }

  #serve(): void {
    const reason = this.#reason;
    this.#reason = "";
    this.#timer = undefined;
    if (!reason) {
      return;
    }
    this.#timer = setTimeout(() => this.#serve(), EVERY).unref();
    try {
      this.#missed(reason);
    } catch (e) {
      this.#log.error(`the function for missed messages failed: ${textOf(e)}`);
    }
  }

  /** Stops passing on reports. */
  end(): void {
    clearTimeout(this.#timer);
    this.#reason = "";
  }
}
