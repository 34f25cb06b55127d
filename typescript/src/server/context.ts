/** The request context of a message, as a method sees it. */

/**
 * What came with a message, beside its arguments. Pass `values` on as the context of the calls that
 * the method makes.
 */
export interface RequestContext {
  /** The request context that the caller sent. */
  readonly values: Readonly<Record<string, unknown>>;
  /** The method that was asked for. */
  readonly method: string;
  /** The id of the message; empty if it has none. */
  readonly messageId: string;
  /** The version that was asked for; empty if none was. */
  readonly version: string;
  /** The name of the server that runs the method. */
  readonly server: string;
  /** The name that the sender's program gives itself. */
  readonly caller: string;
  /** What programs around the method read, such as trace context. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * How long the caller still waits, in milliseconds; undefined if nothing waits, as for a cast.
   */
  readonly remainingMs: number | undefined;
  /**
   * Aborted when the caller has left, its deadline has passed, or the server is stopped by force:
   * the method should end.
   */
  readonly signal: AbortSignal;
}

/** What a message is, beside its content. */
export interface Envelope {
  readonly method: string;
  /** The typed service that it is of; undefined for others. */
  readonly service?: string;
  readonly id: string;
  readonly namespace: string;
  readonly version: string;
  readonly server: string;
  readonly caller: string;
  readonly orderKey: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Until when its caller waits, by performance.now(); undefined if nothing waits. */
  readonly deadline: number | undefined;
  /** The size of its content in bytes. */
  readonly size: number;
}

/** A message in a server. */
export class Incoming {
  readonly #controller = new AbortController();
  readonly envelope: Envelope;

  constructor(envelope: Envelope) {
    this.envelope = envelope;
  }

  /** Aborted when the method is to end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** How long its caller still waits. */
  get left(): number | undefined {
    const { deadline } = this.envelope;
    return deadline === undefined ? undefined : deadline - performance.now();
  }

  /** Whether its caller waits no more, by the deadline. */
  get late(): boolean {
    return (this.left ?? 1) <= 0;
  }

  /** Cancels the method. */
  cancel(): void {
    this.#controller.abort();
  }

  /** Returns what the method sees of it. */
  context(values: Readonly<Record<string, unknown>>): RequestContext {
    const { method, id, version, server, caller, metadata } = this.envelope;
    const left = () => this.left;
    return {
      values,
      method,
      messageId: id,
      version,
      server,
      caller,
      metadata,
      signal: this.signal,
      get remainingMs() {
        const ms = left();
        return ms === undefined ? undefined : Math.max(ms, 0);
      },
    };
  }
}
