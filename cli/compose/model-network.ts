/**
 * Networks of a compose project, and what a service has of them, in long form. Pure (types). Rules: model.ts.
 */
import type { Extended, TextMap } from "./model.js";
import type { NamedDoc } from "./model-storage.js";

export interface PortDoc extends Extended {
  readonly name?: string;
  readonly target: number;
  /** Text: a range, "8000-8010", of which one is meant. A short form with two ranges is one entry per port. */
  readonly published?: number | string;
  /** Without brackets. */
  readonly host_ip?: string;
  /** @default "tcp" */
  readonly protocol?: string;
  /** "ingress" where the short form stood; the long form may leave it out. @default "ingress" */
  readonly mode?: string;
  readonly app_protocol?: string;
}

export interface ServiceNetworkDoc extends Extended {
  readonly aliases?: readonly string[];
  readonly interface_name?: string;
  readonly ipv4_address?: string;
  readonly ipv6_address?: string;
  readonly link_local_ips?: readonly string[];
  readonly mac_address?: string;
  readonly driver_opts?: TextMap;
  readonly priority?: number;
  readonly gw_priority?: number;
}

export interface IpamPoolDoc extends Extended {
  readonly subnet?: string;
  readonly ip_range?: string;
  readonly gateway?: string;
  readonly aux_addresses?: TextMap;
}

export interface IpamDoc extends Extended {
  readonly driver?: string;
  readonly config?: readonly IpamPoolDoc[];
  readonly options?: TextMap;
}

export interface NetworkDoc extends NamedDoc {
  readonly driver?: string;
  readonly driver_opts?: TextMap;
  readonly ipam?: IpamDoc;
  readonly internal?: boolean;
  readonly attachable?: boolean;
  readonly enable_ipv4?: boolean;
  readonly enable_ipv6?: boolean;
}
