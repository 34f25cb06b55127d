/**
 * The error class that the programs of every language in `make interop` register as
 * ports.PortNotFound.
 */
export class PortNotFound extends Error {
  readonly port: number;

  constructor(port: number) {
    super(`no port ${port}`);
    this.port = port;
  }
}

/** The error classes that client and server register, by name. */
export const errors = { "ports.PortNotFound": PortNotFound };
