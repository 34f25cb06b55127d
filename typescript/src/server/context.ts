/** The request context of a message, in the view of a method. */

/**
 * The information that came with a message besides its arguments. Pass `values` on as the context
 * of the method's own calls.
 */
export interface RequestContext {
  /** The request context that the caller sent. */
  readonly values: Readonly<Record<string, unknown>>;
  /** The requested method. */
  readonly method: string;
  /** The id of the message, or an empty string. */
  readonly messageId: string;
  /** The requested version, or an empty string. */
  readonly version: string;
  /** The name of the server that runs the method. */
  readonly server: string;
  /** The name that the sender gives itself. */
  readonly caller: string;
  /** Metadata for code around the method, such as trace context. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * How long the caller still waits, in milliseconds; undefined if no caller waits, as for a cast.
   */
  readonly remainingMs: number | undefined;
  /**
   * Aborted when the caller has left, the deadline has passed, or the server is being stopped by
   * force. The method should then end.
   */
  readonly signal: AbortSignal;
}

/** The fields of a message besides its content. */
export interface Envelope {
  readonly method: string;
  /** The typed service of the message; undefined for other messages. */
  readonly service?: string;
  readonly id: string;
  readonly namespace: string;
  readonly version: string;
  readonly server: string;
  readonly caller: string;
  readonly orderKey: string;
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * The time until which the caller waits, as performance.now() counts; undefined if no caller
   * waits.
   */
  readonly deadline: number | undefined;
  /** The size of the content in bytes. */
  readonly size: number;
}

/** A message at a server. */
export class Incoming {
  readonly #controller = new AbortController();
  readonly envelope: Envelope;

  constructor(envelope: Envelope) {
    this.envelope = envelope;
  }

  /** Aborted when the method must end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** How many milliseconds the caller still waits; undefined if no caller waits. */
  get left(): number | undefined {
    const { deadline } = this.envelope;
    return deadline === undefined ? undefined : deadline - performance.now();
  }

  /** Whether the deadline of the caller has passed. */
  get late(): boolean {
    return (this.left ?? 1) <= 0;
  }

  /** Cancels the method. */
  cancel(): void {
    this.#controller.abort();
  }

  /** Returns the context for the method. */
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
