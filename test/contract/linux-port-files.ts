/**
 * What every Linux must do with mounts and files. Edge: to the kernel.
 */
import assert from "node:assert/strict";
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { assertLeaksNothing, errno, type Promised } from "./linux-port-lab.js";

/**
 * A minimal access list is kept as the mode: an attribute whose effect stat shows. Source: acl(5),
 * posix_acl_xattr.h.
 */
function accessList(owner: number, group: number, others: number): Buffer {
  const bytes = Buffer.alloc(4 + 3 * 8);
  bytes.writeUInt32LE(2, 0);
  [
    [1, owner],
    [4, group],
    [0x20, others],
  ].forEach(([tag = 0, permission = 0], i) => {
    bytes.writeUInt16LE(tag, 4 + i * 8);
    bytes.writeUInt16LE(permission, 6 + i * 8);
    bytes.writeUInt32LE(0xffff_ffff, 8 + i * 8);
  });
  return bytes;
}

export function filePromises(promise: Promised): void {
  promise(
    "mount",
    "flags and data reach the kernel; an unknown flag and a missing target are refused",
    async ({ linux, dir }) => {
      const target = join(dir, "m");
      mkdirSync(target);
      const flags = ["nosuid", "nodev", "noexec"];
      linux.mount({ source: "none", target, type: "tmpfs", flags, data: "mode=711,size=64k" });
      try {
        assert.equal(statSync(target).mode & 0o7777, 0o711);
        const line = readFileSync("/proc/self/mountinfo", "utf8")
          .split("\n")
          .find((each) => each.includes(` ${target} `));
        assert.match(line ?? "", /nosuid,nodev,noexec.*size=64k/);
      } finally {
        await linux.unmount(target);
      }
      assert.throws(
        () => linux.mount({ source: "none", target, type: "tmpfs", flags: ["odd"] }),
        /must be one of .*, got odd/,
      );
      assert.throws(
        () => linux.mount({ source: "none", target: "/nonexistent-skein", type: "tmpfs" }),
        /mount of \/nonexistent-skein .* ENOENT$/,
      );
      assert.throws(() => linux.mount({ source: "none", target: `${target}\0x`, type: "tmpfs" }));
    },
  );

  promise("mount", "a folder is bound, made read-only and private", async ({ linux, dir }) => {
    const [source, target] = [join(dir, "s"), join(dir, "t")];
    mkdirSync(source);
    mkdirSync(target);
    linux.mount({ source, target, type: "", flags: ["bind"] });
    try {
      writeFileSync(join(source, "seen"), "");
      assert.ok(existsSync(join(target, "seen")));
      linux.mount({ source: "none", target, type: "", flags: ["remount", "bind", "ro"] });
      assert.throws(() => writeFileSync(join(target, "no"), ""), /EROFS/);
      linux.mount({ source: "none", target, type: "", flags: ["private"] });
    } finally {
      await linux.unmount(target);
    }
  });

  promise(
    "unmount",
    "what is in use is EBUSY unless detached, what is no mount EINVAL, what is missing ENOENT",
    async ({ linux, dir }) => {
      const target = join(dir, "m");
      mkdirSync(target);
      linux.mount({ source: "none", target, type: "tmpfs" });
      writeFileSync(join(target, "open"), "");
      const fd = openSync(join(target, "open"), "r");
      try {
        await assert.rejects(linux.unmount(target), errno("EBUSY"));
        await linux.unmount(target, { detach: true });
      } finally {
        closeSync(fd);
      }
      await assert.rejects(linux.unmount(target), errno("EINVAL"));
      await assert.rejects(linux.unmount(join(dir, "none")), errno("ENOENT"));
    },
  );

  promise(
    "setXattr",
    "an attribute is set, also on a name with a leading dash; a missing file is refused",
    ({ linux, dir }) => {
      const path = join(dir, "-v");
      writeFileSync(path, "", { mode: 0o600 });
      linux.setXattr(path, "system.posix_acl_access", accessList(6, 4, 1));
      assert.equal(statSync(path).mode & 0o777, 0o641);
      linux.setXattr(path, "trusted.skein", new Uint8Array());
      assert.throws(
        () => linux.setXattr(join(dir, "none"), "trusted.skein", Buffer.from("x")),
        errno("ENOENT"),
      );
      assert.throws(() => linux.setXattr(path, "nospace", Buffer.from("x")), errno("EOPNOTSUPP"));
    },
  );

  promise("readXattrs", "attributes of the file itself, by name; large values whole", ({ linux, dir }) => {
    const path = join(dir, "attributes");
    const link = join(dir, "link-to-attributes");
    writeFileSync(path, "");
    symlinkSync("attributes", link);
    assert.deepEqual(linux.readXattrs(link), []);
    const large = Buffer.alloc(3_000, 7);
    linux.setXattr(path, "trusted.z", large);
    linux.setXattr(path, "trusted.a", new Uint8Array());
    const read = linux.readXattrs(path).map(({ name, value }) => [name, Buffer.from(value)]);
    assert.deepEqual(read, [
      ["trusted.a", Buffer.alloc(0)],
      ["trusted.z", large],
    ]);
    assert.throws(() => linux.readXattrs(join(dir, "none")), errno("ENOENT"));
  });

  promise("openInRoot", "no link leads out; inside, links are followed", ({ linux, dir }) => {
    const root = join(dir, "root");
    mkdirSync(join(root, "sub"), { recursive: true });
    writeFileSync(join(root, "sub", "file"), "inside");
    symlinkSync("/sub/file", join(root, "absolute"));
    symlinkSync("sub/file", join(root, "relative"));
    symlinkSync("../..", join(root, "out"));
    const read = (path: string, leaving: "refused" | "contained"): string => {
      const fd = linux.openInRoot({ root, path, leaving, flags: constants.O_RDONLY });
      try {
        return readFileSync(fd, "utf8");
      } finally {
        closeSync(fd);
      }
    };
    assert.equal(read("relative", "refused"), "inside");
    assert.equal(read("/absolute", "contained"), "inside");
    assert.equal(read("out/../../sub/file", "contained"), "inside");
    assert.throws(() => read("absolute", "refused"), errno("EXDEV"));
    assert.throws(() => read("out/root/sub/file", "refused"), errno("EXDEV"));
    assert.throws(() => read("none", "contained"), errno("ENOENT"));
    const place = linux.openInRoot({ root, path: "sub", leaving: "refused" });
    assert.equal(readlinkSync(`/proc/self/fd/${place}`), join(root, "sub"));
    closeSync(place);
  });

  promise("makeNode", "kind, mode and numbers are as asked, the umask applies", ({ linux, dir }) => {
    const [char, block, fifo] = [join(dir, "null"), join(dir, "disk"), join(dir, "fifo")];
    linux.makeNode({ path: char, kind: "char", mode: 0o640, major: 1, minor: 3 });
    linux.makeNode({ path: block, kind: "block", mode: 0o666, major: 259, minor: 0x1_2345 });
    linux.makeNode({ path: fifo, kind: "fifo", mode: 0o600, major: 0, minor: 0 });
    const [first, second, third] = [statSync(char), statSync(block), statSync(fifo)];
    assert.deepEqual([first.isCharacterDevice(), second.isBlockDevice(), third.isFIFO()], [true, true, true]);
    assert.equal(first.rdev, statSync("/dev/null").rdev);
    assert.equal(second.rdev, (259 << 8) | 0x45 | (0x1_2300 << 12));
    assert.deepEqual([first.mode & 0o7777, second.mode & 0o7777], [0o640, 0o666 & ~process.umask()]);
    assert.throws(
      () => linux.makeNode({ path: fifo, kind: "fifo", mode: 0, major: 0, minor: 0 }),
      errno("EEXIST"),
    );
    const wide = { path: join(dir, "wide"), kind: "char", mode: 0, major: 4097, minor: 3 } as const;
    assert.throws(() => linux.makeNode(wide), /at most 4095:1048575, got 4097:3/);
    assert.throws(() => linux.makeNode({ ...wide, major: 1, minor: -1 }), /got 1:-1/);
    assert.equal(existsSync(wide.path), false);
  });

  promise("connectDatagram", "a path without a listener is refused by name", ({ linux, dir }) => {
    assert.throws(() => linux.connectDatagram(join(dir, "none")), errno("ENOENT"));
  });

  promise("duplicate", "a copy outlives the first", ({ linux, dir }) => {
    const first = openSync(join(dir, "copied"), "w");
    const copy = linux.duplicate(first);
    closeSync(first);
    writeSync(copy, "kept");
    closeSync(copy);
    assert.equal(readFileSync(join(dir, "copied"), "utf8"), "kept");
    assert.throws(() => linux.duplicate(1_000_000), errno("EBADF"));
  });

  promise("pipe", "what is written is read, and our end does not block", ({ linux }) => {
    const { readFd, writeFd } = linux.pipe("read");
    const into = Buffer.alloc(8);
    assert.throws(() => readSync(readFd, into), /EAGAIN/);
    writeSync(writeFd, "through");
    assert.equal(into.toString("latin1", 0, readSync(readFd, into)), "through");
    closeSync(writeFd);
    assert.equal(readSync(readFd, into), 0);
    closeSync(readFd);
  });

  promise(
    "connectSeqPacket",
    "a missing socket and a path too long are refused, and nothing leaks",
    async ({ linux, dir }) => {
      await assertLeaksNothing(() => {
        assert.throws(() => linux.connectSeqPacket(join(dir, "none")), errno("ENOENT"));
        assert.throws(() => linux.connectSeqPacket(`/${"x".repeat(107)}`), /at most 107 bytes, got 108/);
      });
    },
  );
}
