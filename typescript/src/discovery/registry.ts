/** The interface of registries. */

import type { Duplex } from "node:stream";
import { type Instance, sameInstances } from "./instance.js";

/** A registry's current knowledge about a topic. */
export interface Update {
  instances: readonly Instance[];
  /** True if the registry seems to have lost its data, so that a missing instance means nothing. */
  reset: boolean;
  /** Why the registry cannot be read; the instances are then not valid. */
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

  /** Calls notify with the current state and at each change. The result ends the watch. */
  watch(exchange: string, topic: string, notify: Notify): () => void;

  /** Reads the registry now, and returns all instances of all topics. */
  list(): Promise<Instance[]>;

  /**
   * Waits until other processes can find the instances, at most for so long, and returns whether
   * they can.
   */
  awaitListed(instances: readonly Instance[], milliseconds: number): Promise<boolean>;

  /** Returns a path for the socket to listen on by default, or undefined to listen on a port. */
  socket(): string | undefined;

  /**
   * Passes connections to the servers of this process, which then do not listen. It is called once,
   * and returns a stand-in for their address. With registries that lack it, servers listen.
   */
  attach?(take: (connection: Duplex) => void): string;

  /** Called with a reason each time a lost registration was restored. */
  lapsed: (reason: string) => void;

  /** Withdraws the published instances, and ends all watches. */
  close(): Promise<void>;
}

/** Whether an update has no news compared to the previous one. */
export function sameUpdate(before: Update | undefined, now: Update): boolean {
  return (
    before !== undefined &&
    !now.reset &&
    (before.error === undefined) === (now.error === undefined) &&
    sameInstances(before.instances, now.instances)
  );
}
