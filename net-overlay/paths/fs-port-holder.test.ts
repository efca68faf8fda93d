/**
 * Who has a port: the kernel's tables are read right, and a process of ours is found.
 */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import { createPortHolders, inodesOfName, inodesOfPort } from "./fs-port-holder.js";

const UDP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
  100: 00000000:12B5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000 0
  101: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 4712 2 0000 0
`;
const UNIX = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 815 @skein-mesh@@@@
0000000000000000: 00000002 00000000 00010000 0001 01 816 /run/x
0000000000000000: 00000003 00000000 00000000 0001 03 817
`;

test("sockets of a port and of a name are found in the kernel's tables", () => {
  assert.deepEqual(inodesOfPort(UDP, 4789), ["4711"]);
  assert.deepEqual(inodesOfPort(UDP, 53), ["4712"]);
  assert.deepEqual(inodesOfPort(UDP, 54), []);
  assert.deepEqual(inodesOfName(UNIX, "skein-mesh"), ["815"]);
  assert.deepEqual(inodesOfName(UNIX, "skein"), []);
});

test("the process that listens is named", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const holders = createPortHolders(await openKoffiLinux(), undefined);
  assert.match(await holders.holderOf("tcp", address.port), new RegExp(`\\(pid ${process.pid}\\)$`));
  server.close();
});
