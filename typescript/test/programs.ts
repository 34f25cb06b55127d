/**
 * Starts real processes for the tests: Go's command line, servers of this package, and a Consul
 * agent.
 */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, onTestFinished } from "vitest";
import { open, type Transport, type TransportOptions } from "../src/index.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const go = binary("OSLORPC_BIN", "oslorpc", "make build");
const packageRoot = fileURLToPath(new URL("..", import.meta.url));

function binary(variable: string, name: string, command: string): () => string {
  return () => {
    const path = process.env[variable] ?? join(root, ".bin", name);
    if (!existsSync(path)) {
      throw new Error(`${path} is not there: run \`${command}\``);
    }
    return path;
  };
}

/**
 * Waits up to `milliseconds` until `check` returns true. `what` names the condition in the failure.
 */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  milliseconds = 15_000,
): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!(await check())) {
    if (performance.now() > end) {
      throw new Error(`waited ${milliseconds} ms: ${what}`);
    }
    await sleep(20);
  }
}

/** A program that a test runs, with the lines of its output. */
export class Program {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.#child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream) {
        createInterface({ input: stream }).on("line", (line) => this.lines.push(line));
      }
    }
    this.#ended = new Promise((resolve) => {
      this.#child.on("close", (code, signal) => resolve(signal ? 128 : (code ?? -1)));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Waits for a line of output that contains a word, and returns it. */
  async line(word: string, milliseconds = 30_000): Promise<string> {
    const find = () => this.lines.find((line) => line.includes(word));
    await until(
      `${word} in the output of the program`,
      () => find() !== undefined || !this.running,
      milliseconds,
    );
    const found = find();
    if (found === undefined) {
      throw new Error(`the program ended before "${word}": ${this.lines.join("\n")}`);
    }
    return found;
  }

  send(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends a signal to the program, and returns its exit code; 128 if the signal ended it. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    if (this.running) {
      this.send(signal);
    }
    return this.#ended;
  }
}

/** Starts a program, which the end of the test kills. */
export function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  const program = new Program(command, args, env);
  onTestFinished(async () => {
    await program.end("SIGKILL");
  });
  return program;
}

/** Starts a server of Go's command line, and waits until it is ready. */
export async function serveGo(
  url: string,
  topic: string,
  server: string,
  ...options: string[]
): Promise<Program> {
  const program = start(go(), [
    "--transport",
    url,
    "serve",
    "--topic",
    topic,
    "--server",
    server,
    ...options,
  ]);
  await program.line("ready");
  return program;
}

/** A gateway of Go's command line. */
export interface Gateway {
  readonly program: Program;
  readonly addr: string;
}

/** Starts a gateway of a fleet, and waits until it is ready. Servers may attach to it. */
export async function startGateway(url: string, port?: number, ...options: string[]): Promise<Gateway> {
  const [free] = port === undefined ? await freePorts(1) : [port];
  const addr = `127.0.0.1:${free}`;
  const more = ["--listen", addr, "--attach", "--server", `gateway${free}`, ...options];
  const program = start(go(), ["--transport", url, "gateway", ...more]);
  await program.line("is ready at");
  return { program, addr };
}

/** Returns the URL for programs that reach the fleet only through these gateways. */
export function through(...gateways: readonly Gateway[]): string {
  return `gateway://${gateways.map((g) => g.addr).join(",")}`;
}

/** Starts a program in TypeScript: a file of this package. */
export async function startTypeScript(file: string, ...args: string[]): Promise<Program> {
  return start(process.execPath, [await compiled(file), ...args]);
}

/**
 * Bundles a program with this package's code in one file, and returns its path. Other packages stay
 * imports.
 */
async function compiled(file: string): Promise<string> {
  const outfile = join(
    packageRoot,
    "node_modules",
    ".cache",
    `${file.replace(/\W/g, "-")}-${process.pid}.mjs`,
  );
  await build({
    entryPoints: [join(packageRoot, file)],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    alias: { "@oslorpc/oslorpc": join(packageRoot, "src/index.ts") },
    external: ["@bufbuild/*", "@connectrpc/*", "lossless-json", "koffi"],
    logLevel: "error",
  });
  onTestFinished(() => rmSync(outfile, { force: true }));
  return outfile;
}

/** The exit code and the output of a command. */
export interface Ran {
  code: number;
  out: string;
  err: string;
}

/** Runs a command of Go's command line. */
export function runGo(url: string, ...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(go(), ["--transport", url, ...args], { timeout: 60_000, maxBuffer: 64 << 20 }, (e, out, err) => {
      resolve({ code: e ? Number(e.code ?? -1) : 0, out: out.trim(), err: err.trim() });
    });
  });
}

/** Returns the URL of a local registry in a new directory. */
export function localURL(): string {
  const directory = mkdtempSync(join(tmpdir(), "or"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return `local://${directory}/r`;
}

/** Opens a transport, which the end of the test closes. */
export function opened(url: string, options: TransportOptions = {}): Transport {
  const transport = open(url, options);
  onTestFinished(() => transport.close());
  return transport;
}

/** Returns ports that are free. */
export async function freePorts(n: number): Promise<number[]> {
  const servers = Array.from({ length: n }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

const consulBinary = binary("CONSUL_BIN", "consul", "make test-typescript");
let agent: Promise<string> | undefined;

/** Returns the URL of a Consul agent, which all tests of a file share. */
export function consulURL(): Promise<string> {
  agent ??= startConsul();
  return agent;
}

async function startConsul(): Promise<string> {
  const [http, server, lan] = await freePorts(3);
  const ports = [`-http-port=${http}`, "-grpc-port=-1", "-dns-port=-1", `-server-port=${server}`];
  const more = [`-serf-lan-port=${lan}`, "-serf-wan-port=-1", "-log-level=error"];
  const program = new Program(consulBinary(), ["agent", "-dev", "-bind=127.0.0.1", ...ports, ...more]);
  agents.push(program);
  await until("Consul has a leader", async () => {
    const answer = await fetch(`http://127.0.0.1:${http}/v1/status/leader`).catch(() => undefined);
    return answer?.ok === true && (await answer.text()).length > 4;
  });
  return `consul://127.0.0.1:${http}`;
}

const agents: Program[] = [];
afterAll(async () => {
  await Promise.all(agents.map((program) => program.end("SIGKILL")));
});

let topics = 0;

/** Returns a topic that no other test of the file uses. */
export function newTopic(): string {
  return `t${process.pid}-${topics++}`;
}
