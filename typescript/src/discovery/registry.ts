/** What a registry of instances does. */

import type { Duplex } from "node:stream";
import { type Instance, sameInstances } from "./instance.js";

/** What a registry knows about a topic at a moment. */
export interface Update {
  instances: readonly Instance[];
  /** True if the registry seems to have lost its data, so that an absence says nothing. */
  reset: boolean;
  /** Why the registry cannot be read; then the instances say nothing. */
  error?: Error;
}

/** Takes what a registry knows. */
export type Notify = (update: Update) => void;

/** Tells processes of each other. */
export interface Registry {
  /** What errors call it: "Consul at 127.0.0.1:8500". */
  readonly name: string;

  /** Makes these the instances of this process, and keeps them alive. None withdraws all. */
  publish(instances: readonly Instance[]): Promise<void>;

  /** Calls notify with what is known and at each change, until the result is called. */
  watch(exchange: string, topic: string, notify: Notify): () => void;

  /** Returns all instances of all topics, read now. */
  list(): Promise<Instance[]>;

  /**
   * Waits until other processes can find the instances, for so long, and returns whether they can.
   */
  awaitListed(instances: readonly Instance[], milliseconds: number): Promise<boolean>;

  /** Returns the path for a socket to listen on by default; undefined to listen on a port. */
  socket(): string | undefined;

  /**
   * Hands connections to the servers of this process, which do not listen themselves. It is called
   * once, and returns what stands for their address. Registries without it have servers listen.
   */
  attach?(take: (connection: Duplex) => void): string;

  /** Called with a reason each time a registration that was lost is back. */
  lapsed: (reason: string) => void;

  /** Withdraws what was published, and ends all watches. */
  close(): Promise<void>;
}

/** Whether an update says nothing that the one before did not say. */
export function sameUpdate(before: Update | undefined, now: Update): boolean {
  return (
    before !== undefined &&
    !now.reset &&
    (before.error === undefined) === (now.error === undefined) &&
    sameInstances(before.instances, now.instances)
  );
}
