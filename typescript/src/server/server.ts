/** Servers run the methods of their endpoints for messages. */

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Instance } from "../discovery/instance.js";
import { invalid, RPCError } from "../errors.js";
import { checkServerTarget, type Target } from "../target.js";
import type { Offer } from "../typed/offer.js";
import { Dispatcher, type Phase } from "./dispatcher.js";
import { type Endpoint, Table } from "./endpoint.js";
import type { Host } from "./host.js";
import type { Served } from "./intake.js";

const STOP_TIMEOUT = 25_000;

/** The settings of a server. */
export interface ServerOptions {
  /** How many messages run at the same time. The default is 64. */
  workers?: number | undefined;
  /** How many more messages may wait. The default is 1000. */
  queue?: number | undefined;
  /** How many bytes of content the waiting messages may have. The default is 64 MiB. */
  queueBytes?: number | undefined;
  /** Whether the server runs nothing after its start until it is released. The default is false. */
  hold?: boolean | undefined;
  /** Whether to answer oslo.messaging's ping method. The default is false. */
  ping?: boolean | undefined;
  /**
   * Called with a reason when messages may have been missed, so that the program can synchronize
   * its state.
   */
  missed?: ((reason: string) => void) | undefined;
}

/** Runs the methods of its endpoints for messages. It must be started. */
export class Server {
  readonly #host: Host;
  readonly #target: Target & { topic: string; server: string };
  readonly #table: Table;
  readonly #options: ServerOptions;
  #served: Served | undefined;
  #changing: Promise<unknown> = Promise.resolve();
  #stopped: Promise<void> = Promise.resolve();
  #tell: () => void = () => {};

  /** Use Transport.server(). */
  constructor(
    host: Host,
    target: Target,
    endpoints: readonly (Endpoint | Offer)[],
    options: ServerOptions = {},
  ) {
    checkServerTarget(target);
    const { workers = 64, queue = 1000, queueBytes = 64 << 20 } = options;
    if (!(workers >= 1 && queue >= 0 && queueBytes >= 0)) {
      throw invalid("a server needs at least one worker, and a queue that is not negative");
    }
    this.#host = host;
    this.#target = target;
    this.#table = new Table(endpoints, options.ping ?? false);
    this.#options = { ...options, workers, queue, queueBytes };
  }

  /** The instance; undefined if the server does not run. */
  get instance(): Instance | undefined {
    return this.#served?.instance;
  }

  /**
   * Publishes the server, and returns when others can find it. It does nothing if the server runs
   * already.
   */
  start(): Promise<Instance> {
    return this.#change(async () => {
      if (this.#served !== undefined) {
        return this.#served.instance;
      }
      const { workers = 1, queue = 0, queueBytes = 0, hold, missed } = this.#options;
      const { errors, log } = this.#host.config;
      const bounds = { workers, messages: queue, bytes: queueBytes };
      const dispatcher = new Dispatcher(this.#target.server, this.#table, errors, bounds, log);
      dispatcher.phase = hold ? "held" : "active";
      const served = await this.#host.add(this.#target, dispatcher, missed);
      try {
        await this.#host.introduce(served);
      } catch (e) {
        this.#host.remove(served);
        await this.#host.announce().catch(() => {});
        throw e;
      }
      this.#served = served;
      this.#stopped = new Promise((resolve) => {
        this.#tell = resolve;
      });
      return served.instance;
    });
  }

  /** Ends a hold: queued messages begin to run. */
  release(): Promise<void> {
    return this.#set("active");
  }

  /** Accepts only messages that name the server. */
  drain(): Promise<void> {
    return this.#set("draining");
  }

  /** Ends drain(): accepts messages for any server again. */
  resume(): Promise<void> {
    return this.#set("active");
  }

  /**
   * Withdraws the server, finishes the accepted messages, and returns. After the timeout, in
   * milliseconds, running methods are canceled, and an error of kind Timeout is thrown.
   */
  async stop(timeoutMs?: number): Promise<void> {
    if (!(await this.#change(() => this.#stop(timeoutMs)))) {
      throw new RPCError("Timeout", `server "${this.#target.server}" was stopped by force`);
    }
  }

  async #stop(timeoutMs: number | undefined): Promise<boolean> {
    const served = this.#served;
    if (served === undefined) {
      return true;
    }
    const end = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
    const left = () => (end === undefined ? undefined : Math.max(end - performance.now(), 0));
    await this.#host.withdraw(served, timeoutMs === undefined ? undefined : timeoutMs / 2);
    await sleep(Math.min(this.#host.config.stopGraceMs, left() ?? Number.POSITIVE_INFINITY)); // until others know
    const clean = await served.dispatcher.finish(left());
    this.#host.remove(served);
    this.#served = undefined;
    this.#tell();
    return clean;
  }

  /** Waits until the server has stopped. */
  async wait(): Promise<void> {
    await this.#stopped;
  }

  /**
   * Starts the server, and stops it at SIGINT or SIGTERM. A second signal ends the program.
   * Accepted messages have 25 seconds to end, or the given number of milliseconds.
   */
  async run(
    started: (instance: Instance) => void = () => {},
    timeoutMs: number = STOP_TIMEOUT,
  ): Promise<void> {
    const controller = new AbortController();
    const { signal } = controller;
    const signaled = Promise.race([
      once(process, "SIGINT", { signal }),
      once(process, "SIGTERM", { signal }),
    ]);
    signaled.catch(() => {});
    try {
      started(await this.start());
      await Promise.race([signaled, this.wait()]);
      controller.abort(); // without the handlers, a second signal ends the program
      await this.stop(timeoutMs);
    } finally {
      controller.abort();
    }
  }

  #set(phase: Phase): Promise<void> {
    return this.#change(async () => {
      const { topic, server } = this.#target;
      if (this.#served === undefined) {
        throw invalid(`server "${server}" on topic "${topic}" does not run: start it first`);
      }
      if (this.#served.dispatcher.phase !== phase) {
        await this.#host.change(this.#served, phase);
      }
    });
  }

  /** Runs changes one after the other. */
  #change<R>(work: () => Promise<R>): Promise<R> {
    const done = this.#changing.then(work, work);
    this.#changing = done.catch(() => {});
    return done;
  }
}
