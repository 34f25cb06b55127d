import { method, open } from "@oslorpc/oslorpc";

const hello = {
  greet: method({ arguments: { name: "string" }, result: "string" }, (_, { name }) => `hello ${name}`),
};

const transport = open(); // $OSLORPC_TRANSPORT_URL, or local://
const server = transport.server({ topic: "hello", server: "node1" }, [{ version: "1.0", methods: hello }]);
await server.run(({ addr }) => process.stdout.write(`ready at ${addr}\n`)); // until SIGINT or SIGTERM
await transport.close();
