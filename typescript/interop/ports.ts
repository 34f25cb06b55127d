/**
 * The error with a class, which every language of `make interop` registers as ports.PortNotFound.
 */
export class PortNotFound extends Error {
  readonly port: number;

  constructor(port: number) {
    super(`no port ${port}`);
    this.port = port;
  }
}

/** What both ends register. */
export const errors = { "ports.PortNotFound": PortNotFound };
