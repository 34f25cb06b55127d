/** Counts which callers asked for which methods, for operators who want to retire a version. */

const ROWS = 1024;
/** When this many rows are in use, new callers of a method share one row. */
const CROWDED = (ROWS * 3) / 4;
/** Refused messages may have any names, so they get at most this many rows. */
const REFUSED = ROWS / 4;

/** The number of messages that asked for a method, at a version, from a caller. */
export interface Row {
  readonly namespace: string;
  readonly method: string;
  readonly version: string;
  readonly caller: string;
  accepted: number;
  refused: number;
  readonly first: number;
  last: number;
}

/** The rows of one server. */
export class Census {
  readonly #rows = new Map<string, Row>();
  #refused = 0;
  /** Messages for which there was no row. */
  uncounted = 0;

  /** Counts a message. */
  count(namespace: string, method: string, version: string, caller: string, accepted: boolean): void {
    const row = this.#row(namespace, method, version, caller || "unknown", accepted);
    if (row === undefined) {
      this.uncounted++;
      return;
    }
    row[accepted ? "accepted" : "refused"]++;
    row.last = Date.now();
  }

  #row(
    namespace: string,
    method: string,
    version: string,
    caller: string,
    accepted: boolean,
  ): Row | undefined {
    const known = this.#rows.get(keyOf(namespace, method, version, caller));
    if (known !== undefined) {
      return known;
    }
    if (this.#rows.size >= ROWS || (!accepted && this.#refused >= REFUSED)) {
      return undefined;
    }
    if (this.#rows.size >= CROWDED && caller !== "(others)") {
      return this.#row(namespace, method, version, "(others)", accepted);
    }
    const now = Date.now();
    const row = { namespace, method, version, caller, accepted: 0, refused: 0, first: now, last: now };
    this.#rows.set(keyOf(namespace, method, version, caller), row);
    this.#refused += accepted ? 0 : 1;
    return row;
  }

  /** Returns the rows, ordered by namespace, method, version and caller. */
  rows(): Row[] {
    return [...this.#rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }
}

function keyOf(...parts: string[]): string {
  return parts.map((part) => part.slice(0, 255)).join("\0");
}
