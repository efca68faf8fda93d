/**
 * Whether checksums of what a tunnel sends are left to the network card. Edge: to the kernel's ethtool family
 * by the Linux port.
 * Source: Documentation/networking/ethtool-netlink.rst of Linux, FEATURES_SET; Linux 5.8.
 */
import { InternalError } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { decodePayload, encodeMessage, NLM_F_ACK, nested, text } from "../dataplane/rtnetlink-codec.js";

const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR = { familyId: 1, familyName: 2 } as const;
const FEATURES_SET = 12;
const FEATURES = { header: 1, wanted: 3 } as const;
const HEADER_DEVICE_NAME = 2;
const BITSET_BITS = 3;
const BITS_BIT = 1;
const BIT = { name: 2, value: 3 } as const;
const NLA_F_NESTED = 0x8000;
/** Of a virtual interface: all checksums, and with them the sending of what is larger than a segment. */
const TX_CHECKSUM = "tx-checksum-ip-generic";

/** @throws {InternalError} a kernel without this, or an interface that is gone. */
export function setTxChecksum(
  linux: Linux,
  options: { netnsPath: string | undefined; link: string; isOn: boolean },
): void {
  const { netnsPath, link, isOn } = options;
  const socket = linux.netlink(netnsPath, "generic");
  try {
    const [answer] = socket.request(
      encodeMessage({
        type: GENL_ID_CTRL,
        flags: NLM_F_ACK,
        fixed: Uint8Array.of(CTRL_CMD_GETFAMILY, 1, 0, 0),
        attributes: [text(CTRL_ATTR.familyName, "ethtool")],
      }),
    );
    const family =
      answer === undefined ? undefined : decodePayload(answer, 4).attributes.get(CTRL_ATTR.familyId);
    if (family === undefined) throw new InternalError("the kernel has no ethtool family: ENOENT");
    const value = isOn ? [{ type: BIT.value, value: new Uint8Array() }] : [];
    const bit = nested(BITS_BIT | NLA_F_NESTED, [text(BIT.name, TX_CHECKSUM), ...value]);
    socket.request(
      encodeMessage({
        type: family.readUInt16LE(0),
        flags: NLM_F_ACK,
        fixed: Uint8Array.of(FEATURES_SET, 1, 0, 0),
        attributes: [
          nested(FEATURES.header | NLA_F_NESTED, [text(HEADER_DEVICE_NAME, link)]),
          nested(FEATURES.wanted | NLA_F_NESTED, [nested(BITSET_BITS | NLA_F_NESTED, [bit])]),
        ],
      }),
    );
  } finally {
    socket.close();
  }
}
