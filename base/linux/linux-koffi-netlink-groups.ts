/**
 * Netlink sockets that hear of changes. Edge: to the kernel by system calls.
 * Source: netlink(7), socket(7).
 */
import { closeSync } from "node:fs";
import { cBind, cFcntl, cSetsockopt, lastErrno, refusal } from "./linux-koffi-calls.js";
import { netlinkSocketFd } from "./linux-koffi-netlink.js";

const AF_NETLINK = 16;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
/** What waits while the event loop is busy; beyond that the kernel drops, and reading says ENOBUFS. */
const RECEIVE_BUFFER_BYTES = 1024 * 1024;

/** @returns a descriptor that does not block; the caller closes it. @throws {InternalError} */
export function joinNetlinkGroups(options: {
  netnsPath: string | undefined;
  protocol: "route" | "netfilter";
  groups: readonly number[];
}): number {
  const { netnsPath, protocol, groups } = options;
  const fd = netlinkSocketFd(netnsPath, protocol);
  const target = `netlink ${protocol}`;
  const check = (result: number, call: string): void => {
    if (result >= 0) return;
    const error = refusal(lastErrno(), call, target);
    closeSync(fd);
    throw error;
  };
  const address = Buffer.alloc(12); // struct sockaddr_nl
  address.writeUInt16LE(AF_NETLINK, 0);
  check(cBind(fd, address, address.length), "bind");
  check(cSetsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, int(RECEIVE_BUFFER_BYTES), 4), "setsockopt");
  for (const group of groups)
    check(cSetsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, int(group), 4), "setsockopt");
  check(cFcntl(fd, F_SETFL, O_NONBLOCK), "fcntl");
  return fd;
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value, 0);
  return bytes;
}
