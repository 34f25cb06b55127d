/** Requests to Consul agents. */

import { readFileSync } from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import { isIP } from "node:net";
import { invalid, RPCError, textOf } from "../errors.js";
import { reasonOf } from "../plain.js";
import { environment } from "../trust.js";
import { joinAddr, splitAddr } from "./instance.js";

/** The parameters of transport URLs about Consul. */
export const CONSUL_PARAMETERS = [
  "dc",
  "ttl",
  "consul-token-file",
  "consul-tls",
  "consul-ca",
  "consul-cert",
  "consul-key",
  "consul-server-name",
  "consul-insecure",
] as const;

/** The time limit for an agent's answer, in milliseconds. */
export const ANSWER_WITHIN = 5000;
const MAX_ANSWER = 64 << 20;

/** An answer of an agent with a status other than 200. */
export class StatusError extends Error {
  readonly status: number;

  constructor(status: number, text: string) {
    const page = text.startsWith("<"); // HTML is not from an agent, but from a proxy, for example
    const why = text && !page ? `: ${text.replace(/\s+/g, " ").slice(0, 300)}` : "";
    super(`it answers ${status} ${http.STATUS_CODES[status] ?? ""}${why}${advice(status, text, page)}`);
    this.status = status;
  }
}

const CHECK = ": check that a Consul agent answers there";

/** Returns what to do about an answer. */
function advice(status: number, text: string, page: boolean): string {
  if (status === 404 || page) {
    return `: another program may have the address${CHECK}`;
  }
  if (status === 401 || status === 403) {
    return (
      ": give a token with the policy that docs/discovery.md has for such a program, " +
      "in the URL's consul-token-file or in CONSUL_HTTP_TOKEN"
    );
  }
  if (text.includes("No cluster leader")) {
    return ": the Consul servers have lost their leader: look at their logs";
  }
  return status >= 500 ? ": look at the log of the agent" : "";
}

/** An answer of an agent. */
export interface Answer {
  readonly body: unknown;
  readonly headers: http.IncomingHttpHeaders;
}

/** The options of a request. */
export interface RequestOptions {
  query?: Readonly<Record<string, string>>;
  body?: unknown;
  /** The time limit for the answer, in milliseconds. */
  within?: number;
  signal?: AbortSignal;
}

/** The agents and the connection settings, from a URL and the environment. */
export class Access {
  readonly agents: readonly { host: string; port: number }[];
  readonly dc: string;
  /** The TTL of registrations, in milliseconds. */
  readonly ttl: number;
  /** The name of the agents in errors. */
  readonly name: string;
  readonly #parameters: ReadonlyMap<string, string>;
  readonly #tls: boolean;

  constructor(hosts: string, parameters: ReadonlyMap<string, string>) {
    this.#parameters = parameters;
    this.agents = (hosts.replace(/^\/+|\/+$/g, "") || "127.0.0.1:8500").split(",").map(agent);
    this.name = `Consul at ${this.agents.map(({ host, port }) => joinAddr(host, port)).join(",")}`;
    this.dc = parameters.get("dc") ?? "";
    this.ttl = readTTL(parameters.get("ttl") ?? "15s");
    const implied = ["ca", "cert", "key", "server-name", "insecure"].some((name) =>
      parameters.has(`consul-${name}`),
    );
    const said =
      parameters.get("consul-tls") ?? (implied ? "true" : environment("CONSUL_HTTP_SSL").toLowerCase());
    this.#tls = said === "true" || said === "1";
    if (/[^ -~]/.test(environment("CONSUL_HTTP_TOKEN"))) {
      throw invalid("CONSUL_HTTP_TOKEN cannot be sent in a header");
    }
  }

  /** Returns a pool of connections to the agents. It reads the certificate files at this time. */
  connections(): { module: typeof http | typeof https; pool: http.Agent } {
    if (!this.#tls) {
      return { module: http, pool: new http.Agent({ keepAlive: true, maxSockets: 64 }) };
    }
    const options: https.AgentOptions = {
      keepAlive: true,
      rejectUnauthorized: this.#parameters.get("consul-insecure") !== "true",
    };
    const files = { ca: "CONSUL_CACERT", cert: "CONSUL_CLIENT_CERT", key: "CONSUL_CLIENT_KEY" } as const;
    for (const [name, variable] of Object.entries(files) as [keyof typeof files, string][]) {
      const path = this.#parameters.get(`consul-${name}`) || environment(variable);
      if (path) {
        options[name] = readFileSync(path);
      }
    }
    const name = this.#parameters.get("consul-server-name") || environment("CONSUL_TLS_SERVER_NAME");
    return { module: https, pool: new https.Agent(name ? { ...options, servername: name } : options) };
  }

  /**
   * Returns the ACL token, or an empty string. A token file is read each time, so that it can be
   * replaced.
   */
  token(): string {
    const file = this.#parameters.get("consul-token-file") || environment("CONSUL_HTTP_TOKEN_FILE");
    return file ? readFileSync(file, "utf8").trim() : environment("CONSUL_HTTP_TOKEN");
  }
}

function agent(host: string): { host: string; port: number } {
  if (!host) {
    throw invalid("transport URL: a host of Consul is empty: write HOST:PORT,HOST:PORT");
  }
  try {
    return splitAddr(/:\d+$/.test(host) && !host.endsWith("]") && isIP(host) !== 6 ? host : `${host}:8500`);
  } catch (e) {
    throw invalid(`transport URL: host "${host}": ${textOf(e)}`);
  }
}

function readTTL(text: string): number {
  const match = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?$/.exec(text);
  const [hours, minutes, seconds] = (match ?? []).slice(1).map((part) => Number(part ?? 0));
  if (!text || hours === undefined || minutes === undefined || seconds === undefined) {
    throw invalid(`transport URL: parameter "ttl": "${text}" is not a duration such as 15s`);
  }
  const ttl = (hours * 3600 + minutes * 60 + seconds) * 1000;
  if (ttl < 1000 || ttl > 300_000) {
    throw invalid('transport URL: parameter "ttl" is not between 1s and 5m');
  }
  return ttl;
}

/** Sends requests to the first agent that it can connect to, until that one becomes unreachable. */
export class Agents {
  readonly #access: Access;
  readonly #connections: ReturnType<Access["connections"]>;
  #current = 0;
  /** The name of the agents in errors. */
  readonly name: string;
  /** Whether requests must go to the current agent, because it has our registrations. */
  pinned = false;

  constructor(access: Access) {
    this.#access = access;
    this.name = access.name;
    this.#connections = access.connections();
  }

  /**
   * Sends a request, and returns the answer. Throws a StatusError if the agent's status is not 200,
   * and an RPCError if no agent answered.
   */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const { agents } = this.#access;
    let last: unknown;
    for (let n = 0; n < (this.pinned ? 1 : agents.length); n++) {
      const at = (this.#current + n) % agents.length;
      try {
        const answer = await this.#ask(agents[at] as Access["agents"][number], method, path, options);
        this.#current = at;
        return answer;
      } catch (e) {
        if (e instanceof StatusError || options.signal?.aborted) {
          throw e;
        }
        last = e;
      }
    }
    const detail = `${this.name}: ${path}: ${reasonOf(last)}${CHECK}`;
    throw new RPCError("Unreachable", detail, { safeToRetry: true, cause: last });
  }

  async #ask(
    { host, port }: { host: string; port: number },
    method: string,
    path: string,
    { query, body, within = ANSWER_WITHIN, signal }: RequestOptions,
  ): Promise<Answer> {
    const { module, pool } = this.#connections;
    const token = this.#access.token();
    const content = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const limit = AbortSignal.timeout(within);
    const options = {
      method,
      host,
      port,
      path: query ? `${path}?${new URLSearchParams(query)}` : path,
      agent: pool,
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      headers: {
        ...(token ? { "x-consul-token": token } : {}),
        ...(content ? { "content-type": "application/json", "content-length": content.length } : {}),
      },
    };
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const request = module.request(options, resolve);
      request.on("error", (e) =>
        reject(limit.aborted ? new Error(`it did not answer within ${within / 1000} s`) : e),
      );
      request.end(content);
    });
    const text = await read(response);
    if (response.statusCode !== 200) {
      throw new StatusError(response.statusCode ?? 0, text.trim());
    }
    return { body: text.trim() ? JSON.parse(text) : undefined, headers: response.headers };
  }

  /** Closes the connections. */
  close(): void {
    this.#connections.pool.destroy();
  }
}

async function read(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER) {
      response.destroy();
      throw new RangeError("the answer is larger than 64 MiB");
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
