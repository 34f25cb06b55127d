/**
 * Locks of files, as flock(2) makes them. Node has none, so they are called through koffi, an
 * optional dependency.
 */

import { createRequire } from "node:module";
import { invalid } from "../errors.js";

const SHARED = 1;
const EXCLUSIVE = 2;
const AT_ONCE = 4;

type Flock = (fd: number, operation: number) => number;
let loaded: Flock | undefined;

function flock(): Flock {
  if (loaded === undefined) {
    try {
      const koffi = createRequire(import.meta.url)("koffi");
      loaded = koffi.load(null).func("int flock(int fd, int operation)") as Flock;
    } catch (e) {
      throw invalid("local:// needs the package koffi for file locks: npm install koffi", e);
    }
  }
  return loaded;
}

/**
 * Takes the exclusive lock of a file that only this process knows. It is held until the file is
 * closed.
 */
export function lockFile(fd: number): void {
  if (flock()(fd, EXCLUSIVE | AT_ONCE) !== 0) {
    throw new Error("the file cannot be locked");
  }
}

/** Whether some process holds the exclusive lock of a file. */
export function isLocked(fd: number): boolean {
  return flock()(fd, SHARED | AT_ONCE) !== 0;
}

/** Throws an error if files cannot be locked here. */
export function checkLocks(): void {
  flock();
}
