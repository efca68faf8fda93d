import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openKoffiLinux } from "./linux-koffi.js";

const linux = await openKoffiLinux();

test("a network namespace is made, entered, left and deleted", async () => {
  const dir = mkdtempSync(join(tmpdir(), "skein-linux-"));
  const path = join(dir, "n");
  linux.createNetns(path);
  try {
    const before = JSON.stringify(networkInterfaces());
    const inside = linux.inNetns(path, () => readFileSync("/proc/thread-self/net/dev", "utf8"));
    assert.deepEqual(inside.match(/^\s*(\S+):/gm)?.map((line) => line.trim()).filter((n) => n === "eth0:"), []);
    assert.equal(JSON.stringify(networkInterfaces()), before);
  } finally {
    await linux.deleteNetns(path);
    await linux.deleteNetns(path);
    rmSync(dir, { recursive: true });
  }
});

test("an nft context acts in its own namespace and names what it refuses", async () => {
  const dir = mkdtempSync(join(tmpdir(), "skein-linux-"));
  const path = join(dir, "n");
  linux.createNetns(path);
  const nft = linux.nft(path);
  try {
    nft.run("table inet skeintest { chain c { type filter hook input priority 0; } ; }");
    assert.match(nft.list("list tables"), /skeintest/);
    assert.match(nft.list("list tables", { json: true }), /"skeintest"/);
    assert.throws(() => nft.run("add rule inet nowhere x accept"), /nft refused/);
  } finally {
    nft.close();
    await linux.deleteNetns(path);
    rmSync(dir, { recursive: true });
  }
});

test("netlink dumps the links of a namespace", async () => {
  const dir = mkdtempSync(join(tmpdir(), "skein-linux-"));
  const path = join(dir, "n");
  linux.createNetns(path);
  const socket = linux.netlink(path);
  try {
    const request = Buffer.alloc(16 + 16);
    request.writeUInt16LE(18, 4); // RTM_GETLINK
    request.writeUInt16LE(0x301, 6); // NLM_F_REQUEST | NLM_F_DUMP
    const links = socket.request(request);
    assert.ok(links.some((link) => Buffer.from(link).includes("lo\0")));
    const bad = Buffer.alloc(16 + 16);
    bad.writeUInt16LE(17, 4); // RTM_DELLINK of index 0
    bad.writeUInt16LE(0x5, 6);
    assert.throws(() => socket.request(bad), /netlink request of type 17 failed: E/);
  } finally {
    socket.close();
    await linux.deleteNetns(path);
    rmSync(dir, { recursive: true });
  }
});

test("a mount that the kernel refuses names target and errno", () => {
  assert.throws(
    () => linux.mount({ source: "none", target: "/nonexistent-skein", type: "tmpfs" }),
    /mount of \/nonexistent-skein .* ENOENT/,
  );
});

test("sysctls are written inside a namespace only", async () => {
  const dir = mkdtempSync(join(tmpdir(), "skein-linux-"));
  const path = join(dir, "n");
  linux.createNetns(path);
  try {
    const read = (): string => readFileSync("/proc/sys/net/ipv4/conf/all/proxy_arp", "utf8").trim();
    const outside = read();
    linux.setSysctls(path, { "net.ipv4.conf.all.proxy_arp": outside === "1" ? "0" : "1" });
    assert.equal(read(), outside);
    assert.notEqual(linux.inNetns(path, read), outside);
  } finally {
    await linux.deleteNetns(path);
    rmSync(dir, { recursive: true });
  }
});
