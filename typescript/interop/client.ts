/** The client of `make interop`: node client.js URL. */

import {
  type Client,
  kindOf,
  open,
  RemoteError,
  RPCError,
  safeToRetry,
  type Transport,
} from "@oslorpc/oslorpc";
import { errors, PortNotFound } from "./ports.js";
import { type Request, requests, write } from "./wire.js";

const running = new Map<number, AbortController>();

function ms(seconds: number | undefined): number | undefined {
  return seconds ? seconds * 1000 : undefined;
}

/** Executes a request, and returns the result. */
async function perform(transport: Transport, r: Request, signal: AbortSignal): Promise<unknown> {
  const client = transport.client(
    { topic: r.topic, server: r.server || undefined, version: r.version || undefined },
    { timeoutMs: ms(r.timeout), callMonitorTimeoutMs: ms(r.monitor) },
  );
  const args = r.fill ? { ...r.args, text: "x".repeat(r.fill) } : (r.args ?? {});
  const options = { context: r.context, signal };
  switch (r.do) {
    case "call":
      return client.call(r.method, args, options);
    case "cast":
      await client.cast(r.method, args, options);
      return null;
    case "fanout":
      return (await client.fanout(r.method, args, options)).accepted.map((o) => o.instance.server);
    case "gather":
      return gather(client, r, args, options);
    case "multicall":
      return multicall(client, r, args, options);
    default:
      throw new Error(`no such verb: ${r.do}`);
  }
}

type Rest = [args: Record<string, unknown>, options: { signal: AbortSignal }];

async function gather(client: Client, r: Request, ...rest: Rest): Promise<Record<string, unknown>> {
  const results: Record<string, unknown> = {};
  for await (const reply of client.gather(r.method, ...rest)) {
    if (reply.error) {
      throw reply.error;
    }
    results[reply.instance.server] = reply.result;
  }
  return results;
}

async function multicall(client: Client, r: Request, ...rest: Rest): Promise<unknown[]> {
  const items: unknown[] = [];
  for await (const item of client.multicall(r.method, ...rest)) {
    items.push(item);
    if (items.length === r.take) {
      break;
    }
  }
  return items;
}

/** Describes the error of an operation. */
function describe(error: unknown): Record<string, unknown> {
  const described: Record<string, unknown> = {
    kind: kindOf(error) ?? (error as Error).name,
    safe: safeToRetry(error),
    message: String(error),
  };
  const cause = error instanceof RPCError ? error : (error as Error).cause;
  if (cause instanceof RPCError) {
    described["server"] = cause.server;
  }
  if (cause instanceof RemoteError) {
    Object.assign(described, { type: cause.type, text: cause.remoteMessage, hops: cause.hops });
  }
  if (error instanceof PortNotFound) {
    Object.assign(described, { class: "PortNotFound", port: error.port });
  }
  return described;
}

/** Executes a request, and writes the answer. */
async function answer(transport: Transport, r: Request): Promise<void> {
  const controller = new AbortController();
  running.set(r.id, controller);
  try {
    write({ id: r.id, result: await perform(transport, r, controller.signal) });
  } catch (e) {
    write({ id: r.id, error: describe(e) });
  } finally {
    running.delete(r.id);
  }
}

const transport = open(process.argv[2], { errors, caller: "interop-typescript" });
for await (const r of requests()) {
  if (r.do === "cancel") {
    running.get(r.of ?? 0)?.abort();
    write({ id: r.id, result: null });
  } else {
    void answer(transport, r);
  }
}
await transport.close();
