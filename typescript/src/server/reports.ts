/** Tells a server's program what senders report that it missed. */

import { textOf } from "../errors.js";
import type { Logger } from "../log.js";

/** How often a program is told, in milliseconds: it may read everything anew. */
const EVERY = 10_000;

/** Takes in reports: tells the program of one at once, and of further ones a while later. */
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

  /** Takes in that a message failed so many milliseconds ago, unless the server started later. */
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
      this.#log.error(`the function that is told of missed messages failed: ${textOf(e)}`);
    }
  }

  /** Tells no more. */
  end(): void {
    clearTimeout(this.#timer);
    this.#reason = "";
  }
}
