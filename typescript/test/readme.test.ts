/** The programs in examples/ run, and README.md shows them as they are. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { localURL, runGo, startTypeScript } from "./programs.js";

function file(name: string): string {
  return readFileSync(new URL(`../${name}`, import.meta.url), "utf8");
}

test("README.md shows the examples as they are", () => {
  const blocks = [...file("README.md").matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1]);
  expect(blocks).toContain(file("examples/hello-server.ts"));
  expect(blocks).toContain(file("examples/hello-client.ts"));
});

test("the server and the client greet, and the command line greets, too", async () => {
  const url = localURL();
  process.env["OSLORPC_TRANSPORT_URL"] = url;
  const server = await startTypeScript("examples/hello-server.ts");
  await server.line("ready at");
  const client = await startTypeScript("examples/hello-client.ts");
  expect(await client.end("SIGCONT")).toBe(0);
  expect(client.lines).toEqual(["hello you"]);
  expect((await runGo(url, "call", "hello", "greet", "name=Go")).out).toBe('"hello Go"');
  expect(await server.end()).toBe(0);
});

test("the fleet does what it says", async () => {
  process.env["OSLORPC_TRANSPORT_URL"] = localURL();
  const fleet = await startTypeScript("examples/fleet.ts");
  expect(await fleet.end("SIGCONT"), fleet.lines.join("\n")).toBe(0);
  expect(fleet.lines[0]).toMatch(/^created at host\d$/);
  expect(fleet.lines.slice(1, 3)).toEqual(["accepted by 2, skipped host1", "all servers have 1.1: false"]);
  expect(fleet.lines.at(-1)).toContain("BadArguments: bad arguments: create");
  expect(fleet.lines).toHaveLength(7);
});
