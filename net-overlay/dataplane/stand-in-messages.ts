/**
 * The request for an interface that leads nowhere: it takes a tunnel's place while somebody else has the
 * tunnel's port or identifier.
 * Pure. Source: rtnetlink(7), drivers/net/dummy.c of Linux.
 */
import {
  encodeMessage,
  mac,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  nested,
  text,
  u32,
} from "./rtnetlink-codec.js";

const RTM_NEWLINK = 16;
const IFF_UP = 1;
const IFLA = { address: 1, name: 3, mtu: 4, linkInfo: 18 } as const;
const IFLA_INFO_KIND = 1;

export function newDummy(options: { name: string; mac: string; mtuBytes: number }): Uint8Array {
  const fixed = Buffer.alloc(16);
  fixed.writeUInt32LE(IFF_UP, 8);
  fixed.writeUInt32LE(IFF_UP, 12);
  return encodeMessage({
    type: RTM_NEWLINK,
    flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
    fixed,
    attributes: [
      text(IFLA.name, options.name),
      mac(IFLA.address, options.mac),
      u32(IFLA.mtu, options.mtuBytes),
      nested(IFLA.linkInfo, [text(IFLA_INFO_KIND, "dummy")]),
    ],
  });
}
