/**
 * Hands out workers in the order of arrival. Messages with the same order key run one at a time.
 */

import { refused } from "../errors.js";

/** The bounds of a queue. */
export interface Bounds {
  /** How many messages run at the same time. */
  workers: number;
  /** How many more messages may wait. */
  messages: number;
  /** How many bytes of content the waiting messages may have. One message may always wait. */
  bytes: number;
}

/** An admitted message. */
export class Ticket {
  readonly size: number;
  readonly key: string;
  /** Whether it has a worker. */
  runs = false;
  /** Whether it waits for another message with the same key. */
  behind = false;
  /** Fulfilled when it has a worker. */
  readonly turn: Promise<void>;
  grant: () => void = () => {};

  constructor(size: number, key: string) {
    this.size = size;
    this.key = key;
    this.turn = new Promise((resolve) => {
      this.grant = resolve;
    });
  }
}

/** A bounded queue with a bounded number of workers. */
export class Queue {
  readonly #bounds: Bounds;
  readonly #ready: Ticket[] = [];
  readonly #lanes = new Map<string, Ticket[]>();
  #bytes = 0;
  #holds = false;
  running = 0;
  waiting = 0;
  refused = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** Admits or refuses a message. */
  admit(size: number, key: string): Ticket {
    const lane = key ? this.#lanes.get(key) : undefined;
    const atOnce = !lane && this.#ready.length === 0 && !this.#holds && this.running < this.#bounds.workers;
    const full =
      this.waiting >= this.#bounds.messages || (this.waiting > 0 && this.#bytes + size > this.#bounds.bytes);
    if (!atOnce && full) {
      this.refused++;
      throw refused("full");
    }
    const ticket = new Ticket(size, key);
    if (key && !lane) {
      this.#lanes.set(key, []);
    }
    this.waiting++;
    this.#bytes += size;
    ticket.behind = lane !== undefined;
    (lane ?? this.#ready).push(ticket);
    this.#handOut();
    return ticket;
  }

  /** Takes back a ticket, whether it still waits or has a worker. */
  done(ticket: Ticket): void {
    const lane = this.#lanes.get(ticket.key);
    if (ticket.runs) {
      this.running--;
    } else {
      const line = ticket.behind && lane ? lane : this.#ready;
      line.splice(line.indexOf(ticket), 1);
      this.#leave(ticket);
    }
    if (lane && !ticket.behind) {
      this.#advance(ticket.key, lane);
    }
    this.#handOut();
  }

  /** Sets whether messages wait even if workers are free. */
  hold(holds: boolean): void {
    this.#holds = holds;
    this.#handOut();
  }

  #leave(ticket: Ticket): void {
    this.waiting--;
    this.#bytes -= ticket.size;
  }

  #advance(key: string, lane: Ticket[]): void {
    const next = lane.shift();
    if (next === undefined) {
      this.#lanes.delete(key);
    } else {
      next.behind = false;
      this.#ready.push(next);
    }
  }

  #handOut(): void {
    while (!this.#holds && this.running < this.#bounds.workers) {
      const ticket = this.#ready.shift();
      if (ticket === undefined) {
        return;
      }
      this.#leave(ticket);
      this.running++;
      ticket.runs = true;
      ticket.grant();
    }
  }
}
