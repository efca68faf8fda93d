/**
 * The rtnetlink requests for a WireGuard interface.
 * Pure. Source: rtnetlink(7), drivers/net/wireguard/device.c of Linux: the UDP socket belongs to the
 * namespace that the request came from.
 */
import {
  encodeMessage,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  nested,
  text,
  u32,
} from "../dataplane/rtnetlink-codec.js";

const RTM = { newLink: 16, setLink: 19 } as const;
const IFLA = { name: 3, mtu: 4, linkInfo: 18, netnsFd: 28 } as const;
const IFLA_INFO_KIND = 1;

function linkHeader(index: number): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(index, 4);
  return bytes;
}

/** Down, without key and peers. */
export function newWireguard(options: { name: string; netnsFd: number }): Uint8Array {
  return encodeMessage({
    type: RTM.newLink,
    flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
    fixed: linkHeader(0),
    attributes: [
      text(IFLA.name, options.name),
      u32(IFLA.netnsFd, options.netnsFd),
      nested(IFLA.linkInfo, [text(IFLA_INFO_KIND, "wireguard")]),
    ],
  });
}

export function setMtu(index: number, mtuBytes: number): Uint8Array {
  return encodeMessage({
    type: RTM.setLink,
    flags: NLM_F_ACK,
    fixed: linkHeader(index),
    attributes: [u32(IFLA.mtu, mtuBytes)],
  });
}
