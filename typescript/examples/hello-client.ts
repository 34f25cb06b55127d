import { open } from "@oslorpc/oslorpc";

const transport = open(); // $OSLORPC_TRANSPORT_URL, or local://
const client = transport.client({ topic: "hello", version: "1.0" });
process.stdout.write(`${await client.call<string>("greet", { name: "you" })}\n`);
await transport.close();
