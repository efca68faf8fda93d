import assert from "node:assert/strict";
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { linuxPortContract } from "../../test/contract/linux-port.js";
import { openKoffiLinux } from "./linux-koffi.js";
import { cBind, cListen, cSocket } from "./linux-koffi-calls.js";

linuxPortContract("linux-koffi", { open: openKoffiLinux });

test("a packet socket is connected, and a full backlog does not hold up the thread", async () => {
  const linux = await openKoffiLinux();
  const dir = mkdtempSync(join(tmpdir(), "skein-linux-"));
  const path = join(dir, "socket");
  const address = Buffer.concat([Buffer.from([1, 0]), Buffer.from(`${path}\0`)]);
  const listener = cSocket(1, 5, 0);
  const connected: number[] = [];
  try {
    assert.equal(cBind(listener, address, address.length), 0);
    assert.equal(cListen(listener, 1), 0);
    assert.throws(() => {
      for (let count = 0; count < 5; count += 1) connected.push(linux.connectSeqPacket(path));
    }, /connect of .* failed: EAGAIN$/);
    assert.ok(connected.length > 0 && connected.every((fd) => fd > 2));
  } finally {
    for (const fd of [listener, ...connected]) closeSync(fd);
    rmSync(dir, { recursive: true });
  }
});

test("a mount aside is the same, and refused with its errno", async () => {
  const linux = await openKoffiLinux();
  const target = mkdtempSync(join(tmpdir(), "skein-linux-"));
  try {
    await linux.mountAside?.({ source: "a", target, type: "tmpfs", flags: ["nodev"], data: "size=4096" });
    await linux.unmount(target);
    const refused = linux.mountAside?.({ source: "a", target, type: "nofs" });
    await assert.rejects(refused ?? assert.fail("absent"), /^InternalError: mount of .* failed: ENODEV$/);
  } finally {
    rmSync(target, { recursive: true });
  }
});

test("refusals on other threads keep their own errno", async () => {
  const linux = await openKoffiLinux();
  const refusals = Array.from({ length: 20 }, (_, i) =>
    linux.unmount(i % 2 === 0 ? "/usr" : "/nonexistent-skein"),
  );
  const errnos = (await Promise.allSettled(refusals)).map((each) =>
    each.status === "rejected" ? String(each.reason).split(" ").pop() : "",
  );
  assert.deepEqual(
    errnos,
    refusals.map((_, i) => (i % 2 === 0 ? "EINVAL" : "ENOENT")),
  );
});
