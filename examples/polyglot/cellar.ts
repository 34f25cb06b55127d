/**
 * The cellar's thermostat, in TypeScript. It serves the interface at version 1.1, or with --version
 * 1.0 as an older release would.
 */

import { parseArgs } from "node:util";
import { method, open } from "@oslorpc/oslorpc";

/**
 * The cellar refuses a temperature. All programs, in all languages, register this class as
 * house.TooHot.
 */
class TooHot extends Error {
  readonly limit: number;

  constructor(limit: number) {
    super(`the cellar is never set above ${limit} degrees`);
    this.limit = limit;
  }
}

const { version } = parseArgs({ options: { version: { type: "string", default: "1.1" } } }).values;
const LIMIT = 20;
let degrees = 18;

const thermostat = {
  temperature: method({ arguments: {}, result: "integer" }, () => degrees),

  set: method({ arguments: { celsius: "integer" }, expected: [TooHot] }, (_, { celsius }) => {
    if (celsius > LIMIT) {
      throw new TooHot(LIMIT);
    }
    degrees = Number(celsius);
  }),
};

const boosting = {
  ...thermostat,
  boost: method(
    { arguments: { minutes: "integer" }, result: "string" },
    (_, { minutes }) => `the cellar heats for ${minutes} minutes`,
  ),
};

const transport = open(undefined, { errors: { "house.TooHot": TooHot } }); // $OSLORPC_TRANSPORT_URL, or local://
const server = transport.server({ topic: "house", server: "cellar" }, [
  { version, methods: version === "1.0" ? thermostat : boosting },
]);
await server.run(() => process.stdout.write(`the cellar, in TypeScript, is at ${version}\n`));
await transport.close();
