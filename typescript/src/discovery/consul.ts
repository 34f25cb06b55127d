/** The registry in HashiCorp Consul. */

import { invalid } from "../errors.js";
import type { Registry } from "./registry.js";

/** The parameters of transport URLs that are about Consul. */
export const CONSUL_PARAMETERS: readonly string[] = [];

/** Opens the registry at an agent. */
export function openConsul(): Registry {
  throw invalid("this version of the TypeScript package does not know consul://: use local:// or static://");
}
