/** TLS between Go and this package, by the parameters of the URL. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { open, type RPCError } from "../src/index.js";
import { freePorts, localURL, newTopic, opened, runGo, serveGo, startGateway, through } from "./programs.js";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

let pki: string;

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { cwd: pki, stdio: "pipe" });
}

beforeAll(() => {
  pki = mkdtempSync(join(tmpdir(), "pki"));
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  for (const name of ["ca", "other"]) {
    openssl(
      "req",
      "-x509",
      ...key,
      "-days",
      "2",
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.pem`,
      "-subj",
      `/CN=${name}`,
    );
  }
  writeFileSync(
    join(pki, "ext"),
    "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n",
  );
  openssl("req", ...key, "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=node");
  const signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext"];
  openssl("x509", "-req", "-in", "node.csr", ...signed, "-out", "node.pem");
});

afterAll(() => rmSync(pki, { recursive: true, force: true }));

function secured(url: string, ca = "ca.pem"): string {
  return `${url}?ca=${join(pki, ca)}&cert=${join(pki, "node.pem")}&key=${join(pki, "node.key")}`;
}

test("a client calls a Go server, and trusts no other", async () => {
  const [port] = await freePorts(1);
  const topic = newTopic();
  const url = `static://${topic}=127.0.0.1:${port}`;
  await serveGo(secured(url), topic, "node1", "--listen", `127.0.0.1:${port}`);
  const call = (from: string) =>
    opened(from)
      .client({ topic }, { failFast: true, timeoutMs: 10_000 })
      .call("add", { a: 1, b: 2 })
      .catch((e: unknown) => e);
  expect(await call(secured(url))).toBe(3);
  const untrusted = await call(secured(url, "other.pem"));
  expect(untrusted).toMatchObject({ kind: "Untrusted", safeToRetry: true });
  const named = await call(`${secured(url)}&server-name=elsewhere.example`);
  expect(named).toMatchObject({ kind: "Untrusted", safeToRetry: true });
  expect((named as RPCError).message).toContain("elsewhere.example");
  expect((untrusted as RPCError).detail).toContain(
    `at 127.0.0.1:${port} cannot be connected to: no trusted authority signed its certificate: look at ca`,
  );
  expect((named as RPCError).detail).toContain(
    `at 127.0.0.1:${port} cannot be connected to: its certificate has another name (Host: elsewhere.example`,
  );
  expect(await call(url)).toMatchObject({
    safeToRetry: true,
    detail: expect.stringContaining(
      "it closed the connection before it spoke HTTP/2; if it requires TLS, give ca",
    ),
  });
});

test("a client that requires TLS says that a server does not speak it", async () => {
  const [port] = await freePorts(1);
  const topic = newTopic();
  const url = `static://${topic}=127.0.0.1:${port}`;
  await serveGo(url, topic, "node1", "--listen", `127.0.0.1:${port}`);
  const client = opened(secured(url)).client({ topic }, { failFast: true, timeoutMs: 10_000 });
  expect(await client.call("whoami").catch((e: unknown) => e)).toMatchObject({
    kind: "Untrusted",
    safeToRetry: true,
    detail: expect.stringContaining("it does not speak TLS, and this client requires it"),
  });
});

test("a server answers a Go client that proves its identity, and no other", async () => {
  const topic = newTopic();
  const transport = opened(secured("static://other=127.0.0.1:1"), {
    log: quiet,
  });
  const server = transport.server({ topic, server: "node1" }, [{ methods: { ok: () => "ok" } }]);
  const { addr } = await server.start();
  const url = `static://${topic}=${addr}`;
  expect((await runGo(secured(url), "call", topic, "ok")).out).toBe('"ok"');
  const stranger = await runGo(`${url}?ca=${join(pki, "ca.pem")}`, "call", topic, "ok", "--fail-fast");
  expect(stranger.code).not.toBe(0);
});

test("a server is attached to a gateway, with TLS within the stream", async () => {
  const topic = newTopic();
  const gateway = await startGateway(secured(localURL()));
  const url = secured(through(gateway));
  const server = opened(url).server({ topic, server: "node1" }, [{ methods: { ok: () => "ok" } }]);
  await server.start();
  expect(await opened(url).client({ topic }).call("ok")).toBe("ok");
  expect((await runGo(url, "call", topic, "ok", "--server", "node1")).out).toBe('"ok"');
  const stranger = opened(through(gateway)).client({ topic }, { timeoutMs: 1000 });
  expect(await stranger.call("ok").catch((e: unknown) => e)).toMatchObject({ safeToRetry: true });
  const other = opened(secured(through(gateway), "other.pem"), { log: quiet });
  const refused = await other
    .server({ topic, server: "s" }, [])
    .start()
    .catch((e: unknown) => e);
  expect(refused).toMatchObject({ kind: "Untrusted", safeToRetry: true });
});

test("plaintext leaves the machine only if that is allowed", async () => {
  const far = opened("static://t=192.0.2.1:7000").client({ topic: "t" }, { failFast: true });
  const e = await far.call("m").catch((e: unknown) => e);
  expect((e as RPCError).message).toContain("insecure=true");
  const everywhere = open("static://other=127.0.0.1:1", { listen: "0.0.0.0:0", advertise: "127.0.0.1" });
  await expect(everywhere.server({ topic: "t", server: "s" }, []).start()).rejects.toThrow("insecure=true");
  await everywhere.close();
});

test.each([
  ["a certificate without its key", "local://?cert=x.pem", "needs its key"],
  ["an unknown parameter", "local://?nope=1", 'unknown parameter "nope"'],
  [
    "a parameter of Go",
    "consul://host?connect=native&service=web",
    'has the parameter "connect", which only programs in Go',
  ],
  ["an unknown scheme", "amqp://host", 'unknown scheme "amqp"'],
  ["no scheme", "localhost:8500", "has no scheme"],
  ["a password", "consul://user:password@host", "no user names and passwords"],
  ["a relative directory", "local://dir", "three slashes"],
  ["a static entry without an address", "static://t", "is not of the form"],
  ["a static entry twice", "static://t=a:1,t=a:1", "appears twice"],
  ["a TTL that is none", "consul://host?ttl=soon", "is not a duration"],
  ["two values for insecure", "local://?insecure=yes", "write true or false"],
])("a URL with %s is refused", (_, url, says) => {
  expect(() => open(url)).toThrow(says);
});
