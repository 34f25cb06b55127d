/** Versions of interfaces, and caps on them. */

/** A version of an interface. */
export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly revision: number;
}

/** An interface that an instance offers. The default namespace is an empty string. */
export interface Implementation {
  readonly namespace: string;
  readonly version: Version;
}

/** The version of messages that name none. */
export const DEFAULT_VERSION: Version = { major: 1, minor: 0, revision: 0 };

const PATTERN = /^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(?:\.(0|[1-9][0-9]*))?$/;
const AUTO = "auto";

/** Parses "major.minor" or "major.minor.revision". Throws a TypeError for any other value. */
export function parseVersion(text: unknown): Version {
  const match = typeof text === "string" && text.length < 64 ? PATTERN.exec(text) : null;
  const [major, minor, revision] = (match ?? []).slice(1).map((part) => Number(part ?? 0));
  if (major !== undefined && minor !== undefined && revision !== undefined) {
    if (Math.max(major, minor, revision) < 2 ** 32) {
      return { major, minor, revision };
    }
  }
  const shown = (JSON.stringify(text) ?? String(text)).slice(0, 64);
  throw new TypeError(
    `version ${shown} is malformed: write "major.minor" or "major.minor.revision", ` +
      'such as "1.4", in decimal numbers below 2^32 without leading zeros',
  );
}

/** Returns a version as text. A revision of 0 is not written. */
export function formatVersion(v: Version): string {
  return v.revision ? `${v.major}.${v.minor}.${v.revision}` : `${v.major}.${v.minor}`;
}

/** Compares versions numerically, for sort(). */
export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.revision - b.revision;
}

/** Whether an interface at a version can serve a message that asks for another. */
export function serves(offered: Version, requested: Version): boolean {
  return offered.major === requested.major && compareVersions(offered, requested) >= 0;
}

/** Returns a namespace as text, for errors. */
export function describeNamespace(namespace: string): string {
  return namespace ? `namespace "${namespace}"` : "default namespace";
}

/** Returns text for errors that says which interfaces are implemented. */
export function describeOffer(implemented: readonly Implementation[]): string {
  const offered = implemented.map(
    (i) => `${formatVersion(i.version)} of the ${describeNamespace(i.namespace)}`,
  );
  return offered.length > 0 ? `offered is ${offered.join(", ")}` : "no endpoint is offered";
}

/** The latest version that a client may send: a version, an alias, "auto", or undefined. */
export class Cap {
  readonly #text: string | undefined;
  readonly #version: Version | undefined;
  /** Whether the versions of the servers decide. */
  readonly auto: boolean;

  constructor(text: string | undefined, aliases: Readonly<Record<string, string>> = {}) {
    this.#text = text;
    this.auto = text === AUTO && !Object.hasOwn(aliases, AUTO);
    if (text === undefined || this.auto) {
      return;
    }
    try {
      this.#version = parseVersion(Object.hasOwn(aliases, text) ? aliases[text] : text);
    } catch (e) {
      const known = Object.keys(aliases).sort().join(", ") || "of which there are none";
      const why = (e as Error).message;
      throw new TypeError(`version cap "${text}" is neither "auto" nor an alias (${known}): ${why}`);
    }
  }

  /** Whether messages at a version may be sent. With "auto", the result is always true. */
  allows(v: Version): boolean {
    return this.#version === undefined || serves(this.#version, v);
  }

  toString(): string {
    if (this.#version === undefined) {
      return this.#text ?? "none";
    }
    const version = formatVersion(this.#version);
    return version === this.#text ? version : `${this.#text} (${version})`;
  }
}
