import assert from "node:assert/strict";
import { test } from "node:test";
import { InternalError } from "../../base/errors/errors.js";
import type { Linux, NetlinkSocket } from "../../base/linux/linux-ports.js";
import { MemoryLogger } from "../../base/log/logger.js";
import { encodeMessage } from "../dataplane/rtnetlink-codec.js";
import type { WatchedSandbox } from "./idle-limits.js";
import { LinuxIdleSockets } from "./linux-idle-sockets.js";
import type { TcpSocket } from "./sock-diag-messages.js";

const SANDBOX: WatchedSandbox = { taskId: "client", serviceId: "", overlays: [] };
const NETWORK = { kind: "network", networkId: "net1" } as const;
const SOCKET: TcpSocket = {
  local: { address: "10.0.1.50", port: 40_000 },
  remote: { address: "10.0.1.2", port: 80 },
  idleMs: 10_000,
  handle: { family: 2, id: new Uint8Array(48) },
};
const SOCK_DESTROY = 21;
const CT_GET = 257;
const CT_DELETE = 258;

/** A kernel that has one flow and closes sockets, or does not. */
function world(destroy: "done" | "ENOENT" | "EOPNOTSUPP"): {
  sockets: LinuxIdleSockets;
  asked: string[];
  log: MemoryLogger;
} {
  const asked: string[] = [];
  const flow = Buffer.from(
    encodeMessage({ type: CT_GET, flags: 0, fixed: Uint8Array.of(2, 0, 0, 0), attributes: [] }),
  ).subarray(16);
  const withTimeout = Buffer.concat([flow, Buffer.from([8, 0, 7, 0, 0, 0, 0x10, 0])]); // 4096 s left
  const request = (netns: string | undefined, message: Uint8Array): Uint8Array[] => {
    const type = Buffer.from(message).readUInt16LE(4);
    asked.push(`${type} in ${netns}`);
    if (type === SOCK_DESTROY && destroy !== "done")
      throw new InternalError(`netlink request of type 21 failed: ${destroy}`);
    return type === CT_GET ? [withTimeout] : [];
  };
  const netlink = (netns: string | undefined): NetlinkSocket => ({
    request: (message) => request(netns, message),
    requestAll: () => [],
    dump: () => [],
    close: () => undefined,
  });
  const log = new MemoryLogger();
  const sockets = new LinuxIdleSockets({
    linux: { netlink } as unknown as Linux, // of the port, closing needs nothing else
    sandboxPath: (id) => `task-${id}`,
    overlayPath: (id) => `net-${id}`,
    hostNetns: "host",
    log,
  });
  return { sockets, asked, log };
}

test("a socket is closed in its sandbox, and nothing else is touched", () => {
  const { sockets, asked } = world("done");
  sockets.reset(SANDBOX, SOCKET, NETWORK);
  assert.deepEqual(asked, [`${SOCK_DESTROY} in task-client`]);
});

test("one that ended by itself is no failure", () => {
  const { sockets, asked } = world("ENOENT");
  sockets.reset(SANDBOX, SOCKET, NETWORK);
  assert.equal(asked.length, 1);
});

test("a kernel that closes no sockets loses the translation instead, said once", () => {
  const { sockets, asked, log } = world("EOPNOTSUPP");
  sockets.reset(SANDBOX, SOCKET, NETWORK);
  sockets.reset(SANDBOX, SOCKET, { kind: "host" });
  assert.deepEqual(asked, [
    `${SOCK_DESTROY} in task-client`,
    `${CT_GET} in net-net1`,
    `${CT_DELETE} in net-net1`,
    `${SOCK_DESTROY} in task-client`,
    `${CT_GET} in host`,
    `${CT_DELETE} in host`,
  ]);
  assert.equal(log.lines.filter(({ level }) => level === "warn").length, 1);
});

test("a container that is no task has its sockets in its own namespace", () => {
  const { sockets, asked } = world("done");
  const plug = { netnsPath: "local-7", linkName: "", linkIndex: 1, mac: "" };
  sockets.reset({ ...SANDBOX, plug }, SOCKET, NETWORK);
  assert.deepEqual(asked, [`${SOCK_DESTROY} in local-7`]);
});
