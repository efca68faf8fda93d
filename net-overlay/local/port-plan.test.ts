/**
 * Published ports: which numbers, and who is refused.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerNetworking, PortBinding } from "../../proto/engine/networks.js";
import { PLAIN_NETWORKING } from "./local-network-fixtures.js";
import { EphemeralPorts, type HostPort, type HostPorts, publishPorts } from "./port-plan.js";

const binding = (asked: Partial<PortBinding>): PortBinding => ({
  containerPort: 80,
  protocol: "tcp",
  hostAddress: "",
  hostPort: 0,
  ...asked,
});

class MemoryPorts implements HostPorts {
  readonly held = new Map<string, string>();
  readonly foreign = new Set<string>();

  hold(port: HostPort & { owner: string }): "allocated" | "in-use" | undefined {
    const key = keyOf(port);
    if (this.held.has(key)) return "allocated";
    if (this.foreign.has(key)) return "in-use";
    this.held.set(key, port.owner);
    return undefined;
  }

  release(port: HostPort & { owner: string }): void {
    if (this.held.get(keyOf(port)) === port.owner) this.held.delete(keyOf(port));
  }
}

const keyOf = ({ protocol, hostAddress, hostPort }: HostPort): string =>
  `${protocol} ${hostAddress} ${hostPort}`;

function publish(
  ports: MemoryPorts,
  networking: Partial<ContainerNetworking>,
  options: { owner?: string; hostHasIpv6?: boolean; hostBinding?: string } = {},
): string[] {
  const bound = publishPorts({ ...PLAIN_NETWORKING, ...networking }, ports, {
    owner: "c1",
    containerName: "web",
    endpointId: "e1",
    address: "172.17.0.2",
    hostBinding: "",
    hostHasIpv6: true,
    ephemeral: new EphemeralPorts({ min: 32_768, max: 32_770 }),
    ...options,
  });
  return bound.map((each) => `${each.hostAddress}:${each.hostPort}->${each.containerPort}/${each.protocol}`);
}

test("a port without an address is bound on all of both families", () => {
  const ports = new MemoryPorts();
  assert.deepEqual(publish(ports, { portBindings: [binding({ hostPort: 8080 })] }), [
    "0.0.0.0:8080->80/tcp",
    ":::8080->80/tcp",
  ]);
  const own = { owner: "c2", hostBinding: "10.0.0.1" };
  assert.deepEqual(publish(ports, { portBindings: [binding({ hostPort: 8081 })] }, own), [
    "10.0.0.1:8081->80/tcp",
  ]);
});

test("numbers are chosen after those that were asked for, and go on", () => {
  const networking = {
    portBindings: [binding({}), binding({ containerPort: 81, hostPort: 32_768 })],
    exposedPorts: ["80/tcp", "90/udp"],
    publishAllPorts: true,
  };
  assert.deepEqual(publish(new MemoryPorts(), networking, { hostHasIpv6: false }), [
    "0.0.0.0:32768->81/tcp",
    "0.0.0.0:32769->80/tcp",
    "0.0.0.0:32770->90/udp",
  ]);
});

test("a range gives its first free number, the same for both families", () => {
  const ports = new MemoryPorts();
  ports.foreign.add("tcp :: 9000");
  const asked = { portBindings: [binding({ hostPort: 9000, hostPortEnd: 9001 })] };
  assert.deepEqual(publish(ports, asked), ["0.0.0.0:9001->80/tcp", ":::9001->80/tcp"]);
  assert.equal(ports.held.size, 2);
  assert.throws(
    () => publish(ports, asked, { owner: "c2" }),
    /all ports are allocated|address already in use/,
  );
});

test("a refusal names who has it, and nothing stays held", () => {
  const ports = new MemoryPorts();
  publish(ports, { portBindings: [binding({ hostPort: 8080 })] });
  ports.foreign.add("tcp 0.0.0.0 8090");
  const refused = (hostPort: number, words: string): void => {
    const portBindings = [binding({ hostPort: 7000 }), binding({ containerPort: 81, hostPort })];
    assert.throws(() => publish(ports, { portBindings }, { owner: "c2" }), {
      message: `driver failed programming external connectivity on endpoint web (e1): ${words}`,
    });
    assert.deepEqual([...new Set(ports.held.values())], ["c1"]);
  };
  refused(8080, "Bind for 0.0.0.0:8080 failed: port is already allocated");
  refused(8090, "failed to bind host port for 0.0.0.0:8090:172.17.0.2:81/tcp: address already in use");
});

test("one address has one text, and what is none is refused", () => {
  const ports = new MemoryPorts();
  const at = (hostAddress: string) => ({ portBindings: [binding({ hostPort: 80, hostAddress })] });
  assert.deepEqual(publish(ports, at("0:0::0")), [":::80->80/tcp"]);
  assert.throws(() => publish(ports, at("::"), { owner: "c2" }), /port is already allocated/);
  for (const text of ["banana", "fe80::1%eth0", "1.2.3.4 . tcp . 80 : 1.1.1.1"])
    assert.throws(() => publish(ports, at(text)), { code: "invalid-argument" }, text);
});
