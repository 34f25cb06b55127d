/**
 * Reads the directory of local://: the instances of the processes that hold the locks of their
 * files.
 */

import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { invalid, RPCError, textOf } from "../errors.js";
import type { Logger } from "../log.js";
import { isLocked } from "./flock.js";
import { type Instance, socketPath } from "./instance.js";
import { decodeFile, isProcessFile, isSocketName, isTemporary } from "./localfile.js";

/** The age at which a file without an owner is removed, in milliseconds. */
const STALE = 60_000;
const ATTEMPTS = 100;

interface Known {
  identity: string;
  instances: Instance[];
}

/**
 * Scans the directory. It parses only changed files. It tests all locks in each scan, because a
 * lock shows that the process lives.
 */
export class Directory {
  readonly #log: Logger;
  #known = new Map<string, Known>();
  #identity: string | undefined;
  /**
   * Whether the directory was lost since this was last set to false. Missing instances may then
   * still run.
   */
  lost = false;

  constructor(
    readonly path: string,
    log: Logger,
  ) {
    this.#log = log;
  }

  /** Returns the instances of all live processes. */
  scan(): Instance[] {
    const info = fs.lstatSync(this.path, { throwIfNoEntry: false });
    const identity = info && identify(info);
    this.lost ||= this.#identity !== undefined && identity !== this.#identity;
    this.#identity = identity;
    if (info === undefined) {
      this.#known.clear();
      return [];
    }
    verify(this.path, info);
    const known = new Map<string, Known>();
    for (const name of this.#names()) {
      if (isTemporary(name)) {
        this.#sweep(join(this.path, name));
      }
      const found = isProcessFile(name) ? this.#read(name) : undefined;
      if (found !== undefined) {
        known.set(name, found);
      }
    }
    this.#known = known;
    return [...known.values()].flatMap((k) => k.instances);
  }

  #names(): string[] {
    try {
      return [...new Set([...fs.readdirSync(this.path), ...this.#known.keys()])].sort();
    } catch (e) {
      throw unreachable(this.path, `cannot read the directory: ${textOf(e)}`);
    }
  }

  #read(name: string): Known | undefined {
    const path = join(this.path, name);
    for (let n = 0; n < ATTEMPTS; n++) {
      const fd = openQuietly(path);
      if (fd === undefined) {
        return undefined;
      }
      try {
        if (!fs.fstatSync(fd).isFile()) {
          return undefined;
        }
        if (isLocked(fd)) {
          return this.#parse(name, fd);
        }
        if (this.#bury(path, fd)) {
          return undefined;
        }
      } finally {
        fs.closeSync(fd);
      }
    }
    return this.#known.get(name);
  }

  #parse(name: string, fd: number): Known {
    const info = fs.fstatSync(fd);
    const identity = `${identify(info)} ${info.mtimeMs} ${info.size}`;
    const before = this.#known.get(name);
    if (before?.identity === identity) {
      return before;
    }
    try {
      return { identity, instances: decodeFile(fs.readFileSync(fd, "utf8")) };
    } catch (e) {
      this.#log.warn(`local registry: skipping ${join(this.path, name)}, which cannot be read: ${textOf(e)}`);
      return { identity, instances: [] };
    }
  }

  /** Removes the file of a dead process. It returns false if another file has replaced it. */
  #bury(path: string, fd: number): boolean {
    const there = fs.lstatSync(path, { throwIfNoEntry: false });
    if (there === undefined) {
      return true;
    }
    if (identify(there) !== identify(fs.fstatSync(fd))) {
      return false;
    }
    try {
      for (const i of decodeFile(fs.readFileSync(fd, "utf8"))) {
        const socket = socketPath(i.addr);
        if (socket !== undefined && dirname(socket) === this.path && isSocketName(basename(socket))) {
          fs.rmSync(socket, { force: true });
        }
      }
    } catch {
      // An unreadable file names no sockets.
    }
    fs.rmSync(path, { force: true });
    return true;
  }

  #sweep(path: string): void {
    const info = fs.lstatSync(path, { throwIfNoEntry: false });
    if (info === undefined || Date.now() - info.mtimeMs < STALE) {
      return;
    }
    const fd = openQuietly(path);
    if (fd === undefined) {
      return;
    }
    try {
      if (!isLocked(fd)) {
        fs.rmSync(path, { force: true });
      }
    } finally {
      fs.closeSync(fd);
    }
  }
}

/** Returns a string that identifies a file, independent of its name. */
export function identify(info: fs.Stats): string {
  return `${info.dev}:${info.ino}`;
}

function openQuietly(path: string): number | undefined {
  try {
    return fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

/** Makes sure that a directory exists and is private. */
export function ensureDirectory(path: string): void {
  try {
    fs.mkdirSync(path, { mode: 0o700 });
  } catch (e) {
    const code = (e as NodeJS.ErrnoException).code;
    if (code === "ENOENT") {
      const why = "cannot be created, since the directory above it does not exist";
      throw invalid(`local registry: ${path} ${why}`);
    }
    if (code !== "EEXIST") {
      throw unreachable(path, `cannot create the directory: ${textOf(e)}`);
    }
  }
  verify(path, fs.lstatSync(path));
}

function verify(path: string, info: fs.Stats): void {
  const me = process.geteuid?.() ?? info.uid;
  let why = "";
  if (info.isSymbolicLink()) {
    why = "is a symbolic link: name the directory itself with local:///absolute/directory";
  } else if (!info.isDirectory()) {
    why = "is not a directory: name another one with local:///absolute/directory";
  } else if (info.uid !== me) {
    why = `belongs to user ${info.uid}, who would get the requests of this one, ${me}: name another one`;
  } else if (info.mode & 0o077) {
    const mode = (info.mode & 0o7777).toString(8).padStart(4, "0");
    why = `is open to other users (mode ${mode}): see that none put files there, then chmod 0700`;
  }
  if (why) {
    throw invalid(`local registry: ${path} ${why}`);
  }
}

/** Returns the error for an unusable directory or file. */
export function unreachable(path: string, why: string): RPCError {
  return new RPCError("Unreachable", `local registry: ${path}: ${why}`, { safeToRetry: true });
}
