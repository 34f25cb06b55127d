/**
 * Locks of files with flock(2). Node has no function for it, so it is called through koffi, an
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
 * Locks a file exclusively, until it is closed. No other process may know the file yet, so the lock
 * is free.
 */
export function lockFile(fd: number): void {
  if (flock()(fd, EXCLUSIVE | AT_ONCE) !== 0) {
    throw new Error("the file cannot be locked");
  }
}

/** Whether a process holds the exclusive lock of a file. */
export function isLocked(fd: number): boolean {
  return flock()(fd, SHARED | AT_ONCE) !== 0;
}

/** Throws an error if this system cannot lock files. */
export function checkLocks(): void {
  flock();
}
