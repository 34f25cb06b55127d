/** gRPC's health service: a topic is healthy while a server in the state active offers it. */

import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../gen/grpc/health/v1/health_pb.js";
import { exchangeKey } from "./adapter.js";
import type { Process } from "./service.js";

/** The health of a process. It notifies watchers of changes. */
export class HealthReport {
  readonly #process: Process;
  readonly #known = new Set([""]);
  readonly #waiting = new Set<() => void>();

  constructor(process: Process) {
    this.#process = process;
  }

  /** Notifies watchers that the health may have changed. */
  changed(): void {
    for (const look of [...this.#waiting]) {
      look();
    }
  }

  /** Adds the service to a router. */
  route(router: ConnectRouter): void {
    router.service(Health, {
      check: ({ service }) => {
        const status = this.#status(service);
        if (status === Status.SERVICE_UNKNOWN) {
          throw new ConnectError("unknown service", Code.NotFound);
        }
        return { status };
      },
      watch: async function* (
        this: HealthReport,
        { service }: { service: string },
        context: { values: Values },
      ) {
        const { signal } = context.values.get(exchangeKey);
        for (let before: Status | undefined; !signal.aborted; await this.#change(signal)) {
          const status = this.#status(service);
          if (status !== before) {
            yield { status };
          }
          before = status;
        }
      }.bind(this),
    });
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener("abort", done);
    });
  }

  #status(service: string): Status {
    const serving = new Set<string>();
    for (const { instance: i, dispatcher } of this.#process.servers) {
      const names = [`${i.exchange}/${i.topic}`, ...(i.exchange === this.#process.exchange ? [i.topic] : [])];
      for (const name of names) {
        this.#known.add(name);
        if (dispatcher.phase === "active") {
          serving.add(name).add("");
        }
      }
    }
    if (!this.#known.has(service)) {
      return Status.SERVICE_UNKNOWN;
    }
    return serving.has(service) ? Status.SERVING : Status.NOT_SERVING;
  }
}

interface Values {
  get(key: typeof exchangeKey): (typeof exchangeKey)["defaultValue"];
}
