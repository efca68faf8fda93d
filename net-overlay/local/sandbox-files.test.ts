/**
 * hosts and resolv.conf of containers, as Docker writes them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { holds } from "../../test/fuzz/holds.js";
import {
  hostsFile,
  readResolvConf,
  resolverFile,
  resolverOutsideNetworks,
  splitExtraHost,
} from "./sandbox-files.js";

test("hosts has the extra hosts, the links, and its own names last", () => {
  const text = hostsFile({
    hostname: "foo.example.org",
    domainname: "dd.org",
    addresses: ["172.17.0.5", "fd77::2"],
    extraHosts: ["ex:1.2.3.4", "six=[fd00::1]", "gw:host-gateway"],
    hostGateways: ["172.17.0.1"],
    links: [{ address: "172.17.0.4", names: ["lone", "hl1", "other"] }],
  });
  assert.deepEqual(text.split("\n").slice(6), [
    "1.2.3.4\tex",
    "fd00::1\tsix",
    "172.17.0.1\tgw",
    "172.17.0.4\tlone hl1 other",
    "172.17.0.5\tfoo.example.org.dd.org foo",
    "fd77::2\tfoo.example.org.dd.org foo",
    "",
  ]);
  for (const bad of ["", "x", ":1.2.3.4", "x:banana", "a b:1.2.3.4"])
    assert.throws(() => splitExtraHost(bad), { code: "invalid-argument" }, bad);
});

const REQUEST = {
  hostResolvConf: "",
  dns: [],
  dnsSearch: [],
  dnsOptions: [],
  embedded: false,
  hasIpv6: false,
};

test("resolv.conf is the host's without what a container cannot reach", () => {
  const hostResolvConf =
    "# x\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver fd00::1\nsearch a b\noptions rotate\n";
  assert.equal(
    resolverFile({ ...REQUEST, hostResolvConf }),
    "search a b\nnameserver 10.0.0.2\noptions rotate\n",
  );
  assert.equal(
    resolverFile({ ...REQUEST, hostResolvConf: "nameserver 127.0.0.1\n" }),
    "nameserver 8.8.8.8\nnameserver 8.8.4.4\n",
  );
  assert.equal(
    resolverFile({ ...REQUEST, hostResolvConf, dns: ["1.1.1.1"], dnsSearch: ["."], dnsOptions: ["use-vc"] }),
    "nameserver 1.1.1.1\noptions use-vc\n",
  );
  assert.equal(
    resolverFile({ ...REQUEST, hostResolvConf, embedded: true, dns: ["1.1.1.1"] }),
    "search a b\nnameserver 127.0.0.11\noptions rotate ndots:0\n",
  );
});

test("outside of networks the host's resolv.conf stays as it is, but for what was asked for", () => {
  const host = "# ours\nnameserver 127.0.0.53\nsearch a\n";
  const nothing = { dns: [], dnsSearch: [], dnsOptions: [] };
  assert.equal(resolverOutsideNetworks(host, nothing), host);
  assert.equal(
    resolverOutsideNetworks(host, { ...nothing, dns: ["1.1.1.1"] }),
    "search a\nnameserver 1.1.1.1\n",
  );
});

test("fuzz: whatever the host's resolv.conf holds, it is read to its end", () => {
  holds(
    fc.property(fc.string({ maxLength: 300 }), (text) => {
      const { nameservers, search, options } = readResolvConf(text);
      for (const word of [...nameservers, ...search, ...options]) assert.doesNotMatch(word, /\s/);
    }),
  );
});
