/** Malformed transport URLs: each error says what is wrong, where, and what to do. */

import { expect, test } from "vitest";
import { open, RPCError } from "../src/index.js";

const wrong: [url: string, ...says: string[]][] = [
  ["localhost:8500", 'transport URL "localhost:8500" has no scheme', "write local://"],
  [
    "rabbit://guest@host",
    'unknown scheme "rabbit"',
    "no broker; write consul://host:8500 where rabbit:// was",
    "known are local, consul, gateway, static",
  ],
  ["memory://", 'unknown scheme "memory"'],
  ["consul://me:secret@host:8500", "has an @", "no user names and passwords"],
  ["local:///tmp/x#y", "has a #", "write %23"],
  ["local://tmp/x", "a directory is absolute", "three slashes"],
  ["local:///tmp/%zz", "not UTF-8 with percent signs"],
  ["local://?color=red", 'unknown parameter "color"', "there are "],
  ["local://?exchange=", 'parameter "exchange" must be given once, with a value'],
  ["local://?exchange=a&exchange=b", 'parameter "exchange" must be given once'],
  ["local://?exchange=a%00b", "default exchange", "control characters"],
  ["local://?cert=/a.pem", "a certificate needs its key"],
  ["local://?insecure=yes", '"insecure" is "yes"', "write true or false"],
  ["consul://127.0.0.1:8500?connect=native", "only programs in Go understand", "docs/mesh.md"],
  ["consul://127.0.0.1:8500?ttl=soon", "ttl"],
  ["static://", "is not of the form topic=host:port"],
  ["static://t=127.0.0.1", "is not host:port", "it has no port"],
  ["static://t/a/b=127.0.0.1:1", "one server name after the slash"],
  ["static://t=127.0.0.1:1,t=127.0.0.1:1", "appears twice"],
  ["gateway://", 'the address "" of a gateway', "it has no port"],
  ["gateway://gw1", 'the address "gw1" of a gateway', 'write "host:port"'],
  ["gateway://127.0.0.1:99999", "a number from 1 to 65535"],
  ["gateway://127.0.0.1:8600,", 'the address "" of a gateway'],
  ["gateway://127.0.0.1:8600/", "a number from 1 to 65535"],
  ["gateway://0.0.0.0:8600", "unspecified host"],
  ["gateway://::1:8600", "write an IPv6 address in brackets"],
  ["gateway://127.0.0.1:1,127.0.0.1:2,127.0.0.1:1", '"127.0.0.1:1" appears twice'],
  ["gateway://10.0.0.1:8600", "there is no TLS", "insecure=true"],
  ["gateway://127.0.0.1:8600?dc=x", 'unknown parameter "dc"'],
];

test.each(wrong)("%s", async (url, ...says) => {
  let e: unknown;
  try {
    await open(url).close();
  } catch (error) {
    e = error;
  }
  expect(e).toBeInstanceOf(RPCError);
  expect(e).toMatchObject({ kind: "Invalid", safeToRetry: true });
  for (const text of says) {
    expect((e as RPCError).message).toContain(text);
  }
  expect((e as RPCError).message.length).toBeLessThan(400);
});
