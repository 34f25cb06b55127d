/** The interface of registries. */

import type { Duplex } from "node:stream";
import { type Instance, sameInstances } from "./instance.js";

/** A registry's current knowledge about a topic. */
export interface Update {
  instances: readonly Instance[];
  /** True if the registry seems to have lost its data. Missing instances may then still run. */
  reset: boolean;
  /** Why the registry cannot be read. If it is set, ignore `instances`. */
  error?: Error;
}

/** Receives updates of a registry. */
export type Notify = (update: Update) => void;

/** Lets processes find each other. */
export interface Registry {
  /** The name of the registry in errors, such as "Consul at 127.0.0.1:8500". */
  readonly name: string;

  /**
   * Publishes these instances of this process, and keeps them registered. An empty list withdraws
   * all.
   */
  publish(instances: readonly Instance[]): Promise<void>;

  /**
   * Calls notify with the current state and at each change. The returned function ends the watch.
   */
  watch(exchange: string, topic: string, notify: Notify): () => void;

  /** Reads all instances of all topics from the registry, without a cache. */
  list(): Promise<Instance[]>;

  /**
   * Waits up to `milliseconds` until other processes can find the instances, and returns whether
   * they can.
   */
  awaitListed(instances: readonly Instance[], milliseconds: number): Promise<boolean>;

  /** Returns a path for the socket to listen on by default, or undefined to listen on a port. */
  socket(): string | undefined;

  /**
   * Calls `take` with each connection to the servers of this process, which then do not listen. It
   * is called once, and returns a placeholder for their address. If a registry lacks it, servers
   * listen.
   */
  attach?(take: (connection: Duplex) => void): string;

  /** Called with a reason each time a lost registration has been restored. */
  lapsed: (reason: string) => void;

  /** Withdraws the published instances, and ends all watches. */
  close(): Promise<void>;
}

/** Whether an update equals the previous one. */
export function sameUpdate(before: Update | undefined, now: Update): boolean {
  return (
    before !== undefined &&
    !now.reset &&
    (before.error === undefined) === (now.error === undefined) &&
    sameInstances(before.instances, now.instances)
  );
}
