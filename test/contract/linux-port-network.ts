/**
 * What every Linux must do with network namespaces and in them. Edge: to the kernel: it needs nft and ip.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertLeaksNothing, errno, inside, type Promised } from "./linux-port-lab.js";

const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_NAME = 2;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_DUMP = 0x300;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_GETADDR = 22;

function netlinkRequest(type: number, flags: number): Buffer {
  const message = Buffer.alloc(16 + 16);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(NLM_F_REQUEST | flags, 6);
  return message;
}

export function networkPromises(promise: Promised): void {
  promise("createNetns", "a namespace is new, and no name is taken twice", ({ linux, netns }) => {
    assert.notEqual(statSync(netns).ino, statSync("/proc/self/ns/net").ino);
    assert.match(inside(netns, ["ip", "-o", "link"]), /^1: lo: [^\n]*\n$/);
    assert.throws(() => linux.createNetns(netns), errno("EEXIST"));
    assert.equal(statSync("/proc/thread-self/ns/net").ino, statSync("/proc/self/ns/net").ino);
  });

  promise("createNetns", "a refusal leaves neither file nor descriptor", async ({ linux, dir }) => {
    const path = join(dir, "nowhere", "netns");
    await assertLeaksNothing(() => assert.throws(() => linux.createNetns(path), errno("ENOENT")));
  });

  promise(
    "deleteNetns",
    "what is gone, or no namespace, or deleted twice at once, is no failure",
    async ({ linux, dir }) => {
      const path = join(dir, "second");
      await assertLeaksNothing(async () => {
        linux.createNetns(path);
        await Promise.all([linux.deleteNetns(path), linux.deleteNetns(path)]);
        assert.equal(existsSync(path), false);
        await linux.deleteNetns(path);
        writeFileSync(path, ""); // as after a reboot
        await linux.deleteNetns(path);
        assert.equal(existsSync(path), false);
      });
    },
  );

  promise(
    "inNetns",
    "the thread is inside for the function and home after it, thrown or not",
    ({ linux, netns }) => {
      const here = (): string => readlinkSync("/proc/thread-self/ns/net");
      const home = here();
      const away = linux.inNetns(netns, here);
      assert.equal(away, `net:[${statSync(netns).ino}]`);
      assert.equal(here(), home);
      assert.throws(
        () =>
          linux.inNetns(netns, () => {
            throw new Error("inside");
          }),
        /^Error: inside$/,
      );
      assert.equal(here(), home);
      const nested = linux.inNetns(netns, () => [
        linux.inNetns(`/proc/${process.pid}/ns/net`, () => "in"),
        here(),
      ]);
      assert.deepEqual(nested, ["in", away]);
      assert.equal(here(), home);
    },
  );

  promise(
    "inNetns",
    "what is no namespace and what would wait are refused, and nothing leaks",
    async ({ linux, dir, netns }) => {
      const plain = join(dir, "plain");
      writeFileSync(plain, "");
      await assertLeaksNothing(() => {
        assert.throws(() => linux.inNetns(join(dir, "none"), () => 1), errno("ENOENT"));
        assert.throws(() => linux.inNetns(plain, () => 1), errno("EINVAL"));
        assert.throws(() => linux.inNetns(netns, async () => 1), /synchronous/);
      });
    },
  );

  promise(
    "nft",
    "a transaction acts in its own namespace, also where it looks for links by name",
    ({ linux, netns }) => {
      inside(netns, ["ip", "link", "add", "skeinlink0", "type", "bridge"]);
      const nft = linux.nft(netns);
      try {
        nft.run('table inet skeintest { chain c { iif "skeinlink0" counter accept; } ; }');
        assert.match(nft.list("list tables"), /^table inet skeintest\n$/);
        assert.match(nft.list("list tables", { json: true }), /^\{"nftables": .*"skeintest"/);
        assert.match(nft.list("list table inet skeintest"), /iif "skeinlink0"/);
        assert.doesNotMatch(execFileSync("nft", ["list", "tables"], { encoding: "utf8" }), /skeintest/);
      } finally {
        nft.close();
      }
    },
  );

  promise("nft", "a refused transaction changes nothing and says why", ({ linux, netns }) => {
    const nft = linux.nft(netns);
    try {
      const text = "add table inet skeinhalf\nadd rule inet nowhere x accept";
      assert.throws(() => nft.run(text), /nft refused: .*No such file or directory/);
      assert.throws(() => nft.list("list table inet nowhere"), /nft refused/);
      assert.equal(nft.list("list tables"), "");
    } finally {
      nft.close();
      nft.close();
    }
    assert.throws(() => nft.run("list tables"), /closed/);
    assert.throws(() => nft.list("list tables"), /closed/);
  });

  promise(
    "nft",
    "contexts leave no descriptor behind, refused ones neither",
    async ({ linux, dir, netns }) => {
      await assertLeaksNothing(() => {
        linux.nft(netns).close();
        assert.throws(() => linux.nft(join(dir, "none")), errno("ENOENT"));
      });
    },
  );

  promise(
    "netlink",
    "a dump tells all links of its namespace; a refusal names type and errno",
    ({ linux, netns }) => {
      const socket = linux.netlink(netns);
      try {
        const links = socket.request(netlinkRequest(RTM_GETLINK, NLM_F_DUMP));
        assert.equal(links.length, 1);
        assert.ok(Buffer.from(links[0] ?? []).includes("lo\0"));
        assert.throws(
          () => socket.request(netlinkRequest(RTM_DELLINK, NLM_F_ACK)),
          /^InternalError: netlink request of type 17 failed: E[A-Z]+$/,
        );
        assert.equal(socket.request(netlinkRequest(RTM_GETLINK, NLM_F_DUMP)).length, 1);
      } finally {
        socket.close();
        socket.close();
      }
      assert.throws(() => socket.request(netlinkRequest(RTM_GETLINK, NLM_F_DUMP)), /closed/);
    },
  );

  promise("netlink", "a dump of many datagrams is whole, and its payloads are copies", ({ linux, netns }) => {
    const socket = linux.netlink(netns);
    const addresses = Array.from({ length: 3000 }, (_, i) => `10.9.${i >> 8}.${i & 255}`);
    inside(
      netns,
      ["ip", "-batch", "-"],
      addresses.map((address) => `addr add ${address}/32 dev lo\n`).join(""),
    );
    try {
      const first = socket.request(netlinkRequest(RTM_GETADDR, NLM_F_DUMP));
      const kept = first.map((payload) => Buffer.from(payload));
      socket.request(netlinkRequest(RTM_GETLINK, NLM_F_DUMP));
      assert.equal(first.length, addresses.length);
      assert.deepEqual(
        new Set(first.map((payload) => Buffer.from(payload).toString("hex"))).size,
        addresses.length,
      );
      assert.ok(first.every((payload, i) => kept[i]?.equals(payload)));
    } finally {
      socket.close();
    }
  });

  promise(
    "netlink",
    "a generic family is found by its name, one that is not there by none",
    ({ linux, netns }) => {
      const socket = linux.netlink(netns, "generic");
      const family = (name: string): Uint8Array[] => {
        const text = Buffer.from(`${name}\0`.padEnd(12, "\0"));
        const message = Buffer.alloc(16 + 4 + 4 + text.length);
        message.writeUInt16LE(GENL_ID_CTRL, 4);
        message.writeUInt16LE(NLM_F_REQUEST | NLM_F_ACK, 6);
        message.set([CTRL_CMD_GETFAMILY, 1], 16);
        message.writeUInt16LE(4 + name.length + 1, 20);
        message.writeUInt16LE(CTRL_ATTR_FAMILY_NAME, 22);
        text.copy(message, 24);
        return socket.request(message);
      };
      try {
        assert.ok(Buffer.from(family("nlctrl")[0] ?? []).includes("nlctrl\0"));
        assert.throws(() => family("skein-none"), errno("ENOENT"));
      } finally {
        socket.close();
      }
    },
  );

  promise(
    "netlink",
    "sockets leave no descriptor behind, refused ones neither",
    async ({ linux, dir, netns }) => {
      await assertLeaksNothing(() => {
        linux.netlink(netns).close();
        linux.netlink(netns, "netfilter").close();
        assert.throws(() => linux.netlink(join(dir, "none")), errno("ENOENT"));
      });
    },
  );

  promise("bindSocket", "sockets have the traits that were asked for", async ({ linux, netns }) => {
    inside(netns, ["ip", "link", "set", "lo", "up"]);
    await assertLeaksNothing(() => {
      const absent = { netnsPath: netns, kind: "tcp", address: "192.0.2.7", port: 0 } as const;
      assert.throws(() => linux.bindSocket(absent), errno("EADDRNOTAVAIL"));
      closeSync(linux.bindSocket({ ...absent, traits: ["free-bind"] }));
      closeSync(linux.bindSocket({ ...absent, address: "2001:db8::7", traits: ["free-bind"] }));
      const local = { netnsPath: netns, address: "127.0.0.1", port: 5354 } as const;
      closeSync(linux.bindSocket({ ...local, kind: "udp", traits: ["no-checksum", "probe-mtu"] }));
      const quiet = linux.bindSocket({ ...local, kind: "tcp", traits: ["unlistened"] });
      assert.equal(inside(netns, ["sh", "-c", "grep -c ' 0A ' /proc/net/tcp || true"]).trim(), "0");
      closeSync(quiet);
    });
  });

  promise(
    "bindSocket",
    "sockets stand in their namespace; a taken port is refused by name",
    async ({ linux, netns }) => {
      const local = { address: "0.0.0.0", port: 5353 };
      inside(netns, ["ip", "link", "set", "lo", "up"]); // before its first address a namespace binds any
      await assertLeaksNothing(() => {
        const udp = linux.bindSocket({ netnsPath: netns, kind: "udp", ...local });
        const tcp = linux.bindSocket({ netnsPath: netns, kind: "tcp", ...local });
        try {
          assert.match(inside(netns, ["cat", "/proc/self/net/udp"]), /00000000:14E9/);
          // listens
          assert.match(inside(netns, ["cat", "/proc/self/net/tcp"]), /00000000:14E9 00000000:0000 0A/);
          assert.doesNotMatch(readFileSync("/proc/self/net/tcp", "utf8"), /00000000:14E9 00000000:0000 0A/);
          for (const kind of ["udp", "tcp"] as const) {
            assert.throws(() => linux.bindSocket({ netnsPath: netns, kind, ...local }), errno("EADDRINUSE"));
          }
          const elsewhere = { netnsPath: netns, kind: "udp", address: "192.0.2.1", port: 1 } as const;
          assert.throws(() => linux.bindSocket(elsewhere), errno("EADDRNOTAVAIL"));
          assert.throws(
            () => linux.bindSocket({ ...elsewhere, address: "1.2.3" }),
            /must be IPv4( or IPv6)?, got 1\.2\.3/,
          );
        } finally {
          closeSync(udp);
          closeSync(tcp);
        }
      });
    },
  );

  promise(
    "setSysctls",
    "settings are written inside their namespace only, all of them",
    ({ linux, netns }) => {
      const names = ["proxy_arp", "forwarding"].map((setting) => `net.ipv4.conf.all.${setting}`);
      const paths = names.map((setting) => `/proc/sys/${setting.replaceAll(".", "/")}`);
      const outside = paths.map((path) => readFileSync(path, "utf8").trim());
      const wanted = Object.fromEntries(names.map((setting, i) => [setting, outside[i] === "1" ? "0" : "1"]));
      linux.setSysctls(netns, wanted);
      assert.deepEqual(
        paths.map((path) => readFileSync(path, "utf8").trim()),
        outside,
      );
      assert.deepEqual(
        inside(netns, ["cat", ...paths])
          .trim()
          .split("\n"),
        Object.values(wanted),
      );
    },
  );

  promise(
    "setSysctls",
    "a dot in a link's name is a slash; what is unknown or wrong is refused",
    ({ linux, dir, netns }) => {
      inside(netns, ["ip", "link", "add", "skein.1", "type", "bridge"]);
      linux.setSysctls(netns, { "net.ipv4.conf.skein/1.rp_filter": "2" });
      assert.equal(inside(netns, ["cat", "/proc/sys/net/ipv4/conf/skein.1/rp_filter"]), "2\n");
      assert.throws(() => linux.setSysctls(netns, { "net.ipv4.nope": "1" }), errno("ENOENT", "EACCES"));
      assert.throws(() => linux.setSysctls(netns, { "net.ipv4.ip_forward": "many" }), errno("EINVAL"));
      assert.throws(() => linux.setSysctls(netns, { "net.//.x": "1" }), /parted by dots/);
      assert.throws(
        () => linux.setSysctls(join(dir, "none"), { "net.ipv4.ip_forward": "1" }),
        errno("ENOENT"),
      );
    },
  );
}
