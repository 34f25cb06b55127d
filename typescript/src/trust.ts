/**
 * What a transport trusts, and how it proves its identity: PEM files, named by the URL or the
 * environment.
 */

import { readFileSync } from "node:fs";
import { BlockList, isIP } from "node:net";
import type { SecureContextOptions } from "node:tls";
import { invalid, textOf } from "./errors.js";

/** The parameters of transport URLs about trust. */
export const TRUST_PARAMETERS = ["ca", "cert", "key", "server-name", "insecure"] as const;

/**
 * A placeholder for the address of servers that do not listen, because a gateway passes connections
 * to them.
 */
export const ATTACHED = "attached";

const unsupported = ["OSLORPC_IDENTITY", "OSLORPC_TOKEN_FILE"];
const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8);
loopback.addAddress("::1", "ipv6");

/**
 * Paths of PEM files, and the name that the certificates of servers must have. Without files,
 * connections are plaintext, and stay within the machine unless the settings allow others. Clients
 * read the files for each new connection, and servers when they start.
 */
export class Trust {
  readonly serverName: string;
  readonly #files: { ca: string; cert: string; key: string };
  readonly #insecure: boolean;

  /**
   * Reads the settings from the parameters of a URL. The environment has defaults, but a
   * certificate and its key always come from the same source. Throws an RPCError if they are wrong.
   */
  constructor(parameters: ReadonlyMap<string, string>) {
    const hasPair = parameters.has("cert") || parameters.has("key");
    const value = (name: (typeof TRUST_PARAMETERS)[number]) => {
      const pair = name === "cert" || name === "key";
      const said = parameters.get(name) ?? "";
      return said || (pair && hasPair)
        ? said
        : environment(`OSLORPC_${name.toUpperCase().replace("-", "_")}`);
    };
    for (const name of unsupported) {
      if (environment(name)) {
        throw invalid(`${name} is set, and the TypeScript package cannot do what it asks for: unset it`);
      }
    }
    const insecure = value("insecure");
    if (!["", "true", "false"].includes(insecure)) {
      throw invalid(`"insecure" is ${JSON.stringify(insecure)}: write true or false`);
    }
    this.#insecure = insecure === "true";
    this.serverName = value("server-name");
    this.#files = { ca: value("ca"), cert: value("cert"), key: value("key") };
    if ((this.#files.cert === "") !== (this.#files.key === "")) {
      throw invalid("a certificate needs its key: give both cert and key, or none");
    }
  }

  /** Whether connections use TLS. */
  get secure(): boolean {
    return this.#files.ca !== "" || this.#files.cert !== "";
  }

  /** Returns the TLS options for a client's connection to an address; undefined for plaintext. */
  client(addr: string): SecureContextOptions | undefined {
    if (!this.secure) {
      this.#checkPlaintext(addr);
      return undefined;
    }
    return this.#context();
  }

  /**
   * Returns the TLS options for a server's connections; undefined for plaintext. With a CA, clients
   * must have a certificate.
   */
  server(
    addr: string,
  ): (SecureContextOptions & { requestCert: boolean; rejectUnauthorized: boolean }) | undefined {
    if (!this.secure) {
      this.#checkPlaintext(addr);
      return undefined;
    }
    if (!this.#files.cert) {
      throw invalid("a server with TLS needs a certificate: give cert and key beside ca");
    }
    const verify = this.#files.ca !== "";
    return { ...this.#context(), requestCert: verify, rejectUnauthorized: verify };
  }

  #context(): SecureContextOptions {
    const context: SecureContextOptions = { minVersion: "TLSv1.3" };
    for (const name of ["ca", "cert", "key"] as const) {
      if (this.#files[name]) {
        context[name] = read(name, this.#files[name]);
      }
    }
    return context;
  }

  #checkPlaintext(addr: string): void {
    if (this.#insecure || addr === ATTACHED || addr.startsWith("unix:")) {
      return;
    }
    const host = addr.slice(0, addr.lastIndexOf(":")).replace(/^\[|\]$/g, "");
    const family = isIP(host);
    const here = family === 0 ? host === "localhost" : loopback.check(host, family === 6 ? "ipv6" : "ipv4");
    if (!here) {
      throw invalid(
        `${addr} is another machine, or can be reached from one, and there is no TLS: give ca, cert and key ` +
          "in the transport URL, or allow plaintext with insecure=true",
      );
    }
  }
}

function read(name: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (e) {
    throw invalid(`${name}: ${textOf(e)}`, e);
  }
}

/** Returns an environment variable, or an empty string if it is not set. */
export function environment(name: string): string {
  return (process.env[name] ?? "").trim();
}
