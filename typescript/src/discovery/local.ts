/**
 * The registry for the processes of one user on one machine: files with locks, in a private
 * directory.
 *
 * A process is alive while it holds the lock of its file. docs/protocol.md has the rules.
 */

import { randomBytes, randomInt } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { invalid, textOf } from "../errors.js";
import type { Logger } from "../log.js";
import { checkLocks, lockFile } from "./flock.js";
import type { Instance } from "./instance.js";
import { Directory, ensureDirectory, identify, unreachable } from "./localdir.js";
import { encodeFile } from "./localfile.js";
import { type Notify, type Registry, sameUpdate, type Update } from "./registry.js";

/** The interval between two scans of the directory, in milliseconds. */
const INTERVAL = 250;
/** The longest path of a socket, in bytes. */
const MAX_SOCKET_PATH = 103;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

interface Watch {
  exchange: string;
  topic: string;
  notify: Notify;
  last?: Update;
}

/** The registry in a directory. */
export class LocalRegistry implements Registry {
  readonly name: string;
  readonly #path: string;
  readonly #directory: Directory;
  readonly #publication: Publication;
  readonly #watches = new Set<Watch>();
  #timer: NodeJS.Timeout | undefined;
  lapsed: (reason: string) => void = () => {};

  constructor(directory: string | undefined, log: Logger) {
    checkLocks();
    this.#path = directory ?? `/tmp/oslorpc-${process.geteuid?.()}`;
    this.name = `the directory ${this.#path}`;
    ensureDirectory(this.#path);
    this.#directory = new Directory(this.#path, log);
    this.#publication = new Publication(this.#path, log);
  }

  async publish(instances: readonly Instance[]): Promise<void> {
    this.#publication.set(instances);
    this.#look();
  }

  watch(exchange: string, topic: string, notify: Notify): () => void {
    const watch: Watch = { exchange, topic, notify };
    this.#watches.add(watch);
    this.#look();
    return () => this.#watches.delete(watch);
  }

  async list(): Promise<Instance[]> {
    return this.#directory.scan();
  }

  async awaitListed(_: readonly Instance[], milliseconds: number): Promise<boolean> {
    await sleep(Math.min(INTERVAL * 1.2, milliseconds)); // by then, other processes have scanned the directory
    return true;
  }

  socket(): string {
    const path = join(this.#path, `${randomBytes(4).toString("hex")}.sock`);
    if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
      throw invalid(
        `local registry: ${this.#path} has a path that is too long for sockets, which may have ${MAX_SOCKET_PATH} ` +
          "bytes: name a directory with a shorter path, or listen on an address such as 127.0.0.1:0",
      );
    }
    return path;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#watches.clear();
    this.#publication.set([]);
  }

  #look(): void {
    this.#timer ??= setInterval(() => this.#step(), INTERVAL).unref();
    this.#step();
  }

  #step(): void {
    if (this.#publication.repair()) {
      this.lapsed("the process's file was gone from the registry's directory");
    }
    if (this.#watches.size === 0) {
      return;
    }
    let found: Instance[] = [];
    let error: Error | undefined;
    try {
      found = this.#directory.scan();
    } catch (e) {
      error = e as Error;
    }
    const reset = this.#directory.lost;
    this.#directory.lost = false;
    for (const w of [...this.#watches]) {
      const instances = found.filter((i) => i.exchange === w.exchange && i.topic === w.topic);
      const update: Update = error ? { instances: [], reset: false, error } : { instances, reset };
      if (!sameUpdate(w.last, update)) {
        w.last = update;
        w.notify(update);
      }
    }
  }
}

/** The file of this process, if it has published anything. */
class Publication {
  readonly #unique = Array.from({ length: 26 }, () => ALPHABET[randomInt(ALPHABET.length)]).join("");
  #instances: readonly Instance[] = [];
  #file: { fd: number; path: string } | undefined;

  constructor(
    readonly directory: string,
    readonly log: Logger,
  ) {}

  /** Writes the file, or removes it if there are no instances. */
  set(instances: readonly Instance[]): void {
    if (instances.length > 0) {
      this.#write(instances);
    } else if (this.#file !== undefined) {
      // Remove the file before releasing its lock, so that no reader finds it without a lock.
      fs.rmSync(this.#file.path, { force: true });
      fs.closeSync(this.#file.fd);
      this.#file = undefined;
    }
    this.#instances = instances;
  }

  /** Writes the file again if it was removed or replaced, and returns whether it did. */
  repair(): boolean {
    if (this.#file === undefined || this.#inPlace(this.#file)) {
      return false;
    }
    try {
      this.#write(this.#instances);
      return true;
    } catch (e) {
      this.log.warn(`local registry: our file is gone and cannot be written: ${textOf(e)}`);
      return false;
    }
  }

  #inPlace(file: { fd: number; path: string }): boolean {
    const there = fs.lstatSync(file.path, { throwIfNoEntry: false });
    return there !== undefined && identify(there) === identify(fs.fstatSync(file.fd));
  }

  #write(instances: readonly Instance[]): void {
    ensureDirectory(this.directory);
    const readable = (instances[0]?.bootId ?? "").replace(/[^0-9A-Za-z-]/gu, "_").slice(0, 64);
    const path = join(this.directory, `oslorpc-${readable}-${this.#unique}.json`);
    const temporary = `${path}.${randomInt(1_000_000_000)}.tmp`;
    let fd: number;
    try {
      fd = fs.openSync(temporary, "wx+", 0o600);
    } catch (e) {
      throw unreachable(this.directory, `cannot create a file: ${textOf(e)}`);
    }
    try {
      lockFile(fd);
      fs.writeSync(fd, encodeFile(instances));
      fs.renameSync(temporary, path);
    } catch (e) {
      fs.closeSync(fd);
      fs.rmSync(temporary, { force: true });
      throw unreachable(temporary, `cannot write and lock the file: ${textOf(e)}`);
    }
    const before = this.#file;
    this.#file = { fd, path };
    if (before !== undefined) {
      fs.closeSync(before.fd);
    }
  }
}
