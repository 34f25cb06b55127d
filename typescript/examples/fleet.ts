/** Three servers of two versions in one process, and a client that calls them. */

import { setTimeout as sleep } from "node:timers/promises";
import { kindOf, method, open, type RequestContext } from "@oslorpc/oslorpc";

/** The methods of a volume service, as an instance of a class. A generator streams its items. */
class Volumes {
  readonly #host: string;
  readonly #sizes = new Map<string, number | bigint>();

  constructor(host: string) {
    this.#host = host;
  }

  readonly create = method(
    { arguments: { id: "string", "size?": "integer" }, result: "object" },
    (context, { id, size }) => {
      this.#sizes.set(id, size ?? 1);
      return { id, host: this.#host, user: context.values["user"] ?? null };
    },
  );

  readonly copy = method({ arguments: { blocks: "integer" } }, async function* (context, { blocks }) {
    for (let n = 1; n <= blocks; n++) {
      await sleep(1, undefined, { signal: context.signal }); // throws when the caller cancels
      yield n;
    }
  });

  count(_: RequestContext): number {
    return this.#sizes.size;
  }
}

await using transport = open();
for (const [server, version] of [
  ["host1", "1.0"],
  ["host2", "1.1"],
  ["host3", "1.1"],
] as const) {
  await transport.server({ topic: "volumes", server }, [{ version, methods: new Volumes(server) }]).start();
}

const client = transport.client({ topic: "volumes", version: "1.0" }, { timeoutMs: 5000 });
const volume = await client.call<{ host: string }>("create", { id: "v1" }, { context: { user: "alice" } });
say(`created at ${volume.host}`);

const newer = client.prepare({ version: "1.1" });
const report = await newer.fanout("create", { id: "v2", size: 2n ** 60n });
say(`accepted by ${report.accepted.length}, skipped ${report.skipped.map((o) => o.instance.server)}`);
say(`all servers have 1.1: ${await client.prepare({ versionCap: "auto" }).canSendVersion("1.1")}`);

for await (const reply of client.gather<number>("count")) {
  say(`a server of ${reply.total} has ${reply.result}`);
}

for await (const block of client.multicall<number>("copy", { blocks: 1_000_000 })) {
  if (block === 3) {
    break; // leaving the loop cancels the method
  }
}

try {
  await client.call("create", { id: 7 });
} catch (e) {
  say(`${kindOf(e)}: ${(e as Error).message}`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
