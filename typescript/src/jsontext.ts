/** Finds mistakes in JSON text. Parsers report an offset; the protocol requires a JSON pointer. */

import { escapePointer } from "./json.js";

/** A mistake in a text: its place as a JSON pointer, and a description. */
export interface Mistake {
  path: string;
  why: string;
}

/** Returns the first mistake in a text; undefined if there is none. */
export function locate(text: string): Mistake | undefined {
  try {
    const scanner = new Scanner(text);
    scanner.value("", 0);
    scanner.end();
    return undefined;
  } catch (e) {
    if (e instanceof Found) {
      return e.mistake;
    }
    throw e;
  }
}

class Found extends Error {
  constructor(readonly mistake: Mistake) {
    super(mistake.why);
  }
}

const BLANK = /[ \t\r\n]*/y;
const WORD = /null|true|false/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them in strings
const STRING = /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const MAX_DEPTH = 1000;

class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Parses a value. */
  value(path: string, depth: number): void {
    this.#blanks();
    if (depth > MAX_DEPTH) {
      throw wrong(path.slice(0, 200), "it nests too deep");
    }
    const first = this.#text[this.#at];
    if (first === "{") {
      this.#members(path, depth);
    } else if (first === "[") {
      this.#items(path, depth);
    } else if (first === '"') {
      this.#string(path);
    } else if (this.#match(WORD) === undefined) {
      this.#number(path);
    }
  }

  /** Makes sure that nothing follows. */
  end(): void {
    this.#blanks();
    if (this.#at < this.#text.length) {
      throw wrong("", "more text follows the value");
    }
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text) ?? undefined;
    this.#at += match?.[0].length ?? 0;
    return match;
  }

  #blanks(): void {
    this.#match(BLANK);
  }

  #eat(character: string): boolean {
    this.#blanks();
    const there = this.#text[this.#at] === character;
    this.#at += there ? 1 : 0;
    return there;
  }

  #number(path: string): void {
    const match = this.#match(NUMBER);
    if (match === undefined) {
      const rest = this.#text.slice(this.#at, this.#at + 16);
      throw wrong(
        path,
        rest ? `${JSON.stringify(rest)} is not JSON` : "the text ends where a value is expected",
      );
    }
    const integral = match[1] === undefined && match[2] === undefined;
    if (integral && match[0].replace("-", "").length > 4300) {
      throw wrong(path, "an integer may have at most 4300 digits");
    }
    if (!integral && !Number.isFinite(Number(match[0]))) {
      throw wrong(path, `${match[0].slice(0, 64)} is larger than any float`);
    }
  }

  #string(path: string): string {
    const match = this.#match(STRING);
    if (match === undefined) {
      throw wrong(path, `${JSON.stringify(this.#text.slice(this.#at, this.#at + 16))} is not a string`);
    }
    const value = JSON.parse(match[0]) as string;
    if (!value.isWellFormed()) {
      throw wrong(path, "has a lone surrogate, which UTF-8 cannot hold");
    }
    return value;
  }

  #members(path: string, depth: number): void {
    const seen = new Set<string>();
    this.#eat("{");
    if (this.#eat("}")) {
      return;
    }
    do {
      this.#blanks();
      const name = this.#string(path);
      const inner = `${path}/${escapePointer(name)}`;
      if (seen.has(name)) {
        throw wrong(inner, "the name appears twice");
      }
      seen.add(name);
      if (!this.#eat(":")) {
        throw wrong(inner, "a colon is missing");
      }
      this.value(inner, depth + 1);
    } while (this.#eat(","));
    if (!this.#eat("}")) {
      throw wrong(path, "the object does not end");
    }
  }

  #items(path: string, depth: number): void {
    this.#eat("[");
    if (this.#eat("]")) {
      return;
    }
    let n = 0;
    do {
      if (n > 0 && this.#eat("]")) {
        throw wrong(path, "a value is missing after the comma");
      }
      this.value(`${path}/${n++}`, depth + 1);
    } while (this.#eat(","));
    if (!this.#eat("]")) {
      throw wrong(path, "the list does not end");
    }
  }
}

function wrong(path: string, why: string): Found {
  return new Found({ path, why });
}
