/** Errors about connections use plain words in place of Node's texts. */

import { createServer as createWebServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { open, RPCError } from "../src/index.js";
import { reasonOf, whyNotListening } from "../src/plain.js";

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
  }
});

async function listen(server: Server): Promise<string> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Returns an address at which nothing listens. */
async function unused(): Promise<string> {
  const addr = await listen(createServer());
  await new Promise((resolve) => servers.pop()?.close(resolve));
  return addr;
}

/** Returns the error of a call that does not wait for servers. */
async function failure(url: string, failFast = true, timeoutMs = 10_000): Promise<RPCError> {
  const transport = open(url);
  try {
    return await transport
      .client({ topic: "demo" }, { failFast, timeoutMs })
      .call("whoami")
      .then(
        () => expect.fail("it succeeded"),
        (e: RPCError) => e,
      );
  } finally {
    await transport.close();
  }
}

describe("the error about", () => {
  test("an address at which nothing listens", async () => {
    const addr = await unused();
    const nothing = "nothing listens there; its process is probably dead";
    expect(await failure(`static://demo=${addr}`)).toMatchObject({
      kind: "Unreachable",
      safeToRetry: true,
      detail: `the server at ${addr} cannot be connected to: ${nothing}`,
    });
    expect((await failure(`gateway://${addr}`)).detail).toBe(
      `not sent: the gateway at ${addr}: it cannot be connected to: ${nothing}`,
    );
    expect((await failure(`consul://${addr}`)).detail).toBe(
      `not sent: Consul at ${addr}: /v1/health/service/oslorpc-openstack-demo: ${nothing}: ` +
        "check that a Consul agent answers there",
    );
  });

  test("a web server", async () => {
    const addr = await listen(
      createWebServer((_, response) => response.writeHead(404).end("<html>\n<body>no</body></html>")),
    );
    const other = "it answers with something other than gRPC; another program may have the address";
    expect((await failure(`static://demo=${addr}`)).detail).toBe(
      `the server at ${addr} cannot be connected to: ${other}`,
    );
    expect((await failure(`consul://${addr}`)).detail).toBe(
      `not sent: Consul at ${addr}: reading /v1/health/service/oslorpc-openstack-demo: it answers 404 Not Found: ` +
        "another program may have the address: check that a Consul agent answers there",
    );
  });

  test("an agent that says nothing", async () => {
    const addr = await listen(createServer());
    expect(await failure(`consul://${addr}`, false, 300)).toMatchObject({
      kind: "Timeout",
      safeToRetry: true,
      detail: `not sent: Consul at ${addr} did not answer`,
    });
  });
});

test("what cannot be listened on says why", () => {
  const system = (code: string) => Object.assign(new Error(`listen ${code}`), { code });
  expect(whyNotListening(system("EADDRINUSE"))).toMatch(/^the address is in use: stop the program/);
  expect(whyNotListening(system("EADDRNOTAVAIL"))).toMatch(/^this machine does not have the address/);
  expect(whyNotListening(system("EOTHER"))).toBe("listen EOTHER");
});

test("reasons are plain", () => {
  const system = (code: string, more: object = {}) =>
    Object.assign(new Error(`connect ${code}`), { code, ...more });
  expect(reasonOf(system("ECONNREFUSED"))).toMatch(/^nothing listens there/);
  expect(reasonOf(system("EHOSTUNREACH"))).toMatch(/^nothing answers there/);
  expect(reasonOf(system("ECONNRESET"))).toMatch(/reset the connection$/);
  expect(reasonOf(system("ENOTFOUND", { syscall: "getaddrinfo", hostname: "nova7" }))).toBe(
    "the name nova7 cannot be resolved (ENOTFOUND): check it, and DNS",
  );
  expect(reasonOf(new RPCError("Unreachable", "away"))).toBe("away");
  expect(reasonOf(system("EOTHER"))).toBe("connect EOTHER");
  expect(reasonOf("a text")).toBe("a text");
});
