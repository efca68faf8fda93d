/**
 * What others can do by hand to a node's network, one row per kind of entry. For the test that breaks each
 * and sees it repaired, and for the soak run. Pure: commands as data.
 * Invariant: a row's words stand in the name of at least one difference that the audit tells.
 */

export interface BreakGround {
  /** A task on this node, with one overlay interface (eth0) and a gateway (eth1). */
  readonly hostEnd: string;
  readonly gatewayEnd: string;
  readonly taskAddress: string;
  readonly gatewayAddress: string;
  /** Another node with a task on the same network, and a published port. */
  readonly peerNumber: number;
  readonly peerAddress: string;
  readonly remoteTask: string;
  readonly vip: string;
  readonly publishedPort: number;
}

export interface NetworkBreak {
  readonly what: string;
  /** In which namespace the commands run. */
  readonly place: "host" | "network" | "task";
  /** The kind of one of the differences that must be told. */
  readonly kind: string;
  /** Lines of sh(1). */
  readonly commands: (ground: BreakGround) => string;
}

const mac = (number: number): string =>
  `02:99:00:00:${(number >> 8).toString(16).padStart(2, "0")}:${(number & 255).toString(16).padStart(2, "0")}`;
const transit = (number: number): string => `100.${64 + (number >> 8)}.${number & 255}`;

export const NETWORK_BREAKS: readonly NetworkBreak[] = [
  { what: "the tunnel is down", place: "host", kind: "link", commands: () => "ip link set skein-vxt down" },
  { what: "the tunnel is gone", place: "host", kind: "link", commands: () => "ip link del skein-vxt" },
  {
    what: "the tunnel's MTU is another",
    place: "host",
    kind: "link",
    commands: () => "ip link set skein-vxt mtu 1300",
  },
  {
    what: "the tunnel's MAC is another",
    place: "host",
    kind: "link",
    commands: () => "ip link set skein-vxt address 02:99:00:00:77:77",
  },
  {
    what: "the tunnel is another VXLAN device",
    place: "host",
    kind: "link",
    // a repair may be quicker than the second command
    commands: () =>
      "for i in 1 2 3 4 5 6 7 8 9; do ip link del skein-vxt 2>/dev/null; ip link add skein-vxt type vxlan " +
      "id 99 dstport 4799 local 127.0.0.1 nolearning 2>/dev/null && exit 0; done; exit 1",
  },
  {
    what: "a gateway's end is down",
    place: "host",
    kind: "link",
    commands: ({ gatewayEnd }) => `ip link set ${gatewayEnd} down`,
  },
  {
    what: "a gateway's interface is gone",
    place: "host",
    kind: "link",
    commands: ({ gatewayEnd }) => `ip link del ${gatewayEnd}`,
  },
  {
    what: "the node's transit address is gone",
    place: "host",
    kind: "address",
    commands: () => "ip addr flush dev skein-vxt",
  },
  {
    what: "a foreign address is on the tunnel",
    place: "host",
    kind: "address",
    commands: () => "ip addr add 192.0.2.1/24 dev skein-vxt",
  },
  {
    what: "the way to a peer's tasks is gone",
    place: "host",
    kind: "route",
    commands: ({ peerNumber }) => `ip route del ${transit(peerNumber)}.0/24`,
  },
  {
    what: "the way to a peer's tasks is another",
    place: "host",
    kind: "route",
    commands: ({ peerNumber }) => `ip route replace ${transit(peerNumber)}.0/24 dev lo`,
  },
  {
    what: "the way back to an entry node is gone",
    place: "host",
    kind: "route",
    commands: ({ peerNumber }) => `ip route flush table ${1_000_000 + peerNumber}`,
  },
  {
    what: "the way to a task's gateway is gone",
    place: "host",
    kind: "route",
    commands: ({ gatewayAddress }) => `ip route del ${gatewayAddress}`,
  },
  {
    what: "a foreign route of ours",
    place: "host",
    kind: "route",
    commands: ({ peerNumber }) =>
      `ip route add 198.51.100.0/24 via ${transit(peerNumber)}.1 dev skein-vxt onlink proto 83`,
  },
  {
    what: "rules of the return tree are gone",
    place: "host",
    kind: "rule",
    commands: () => "ip rule del proto 83; ip rule del proto 83",
  },
  {
    what: "a foreign rule of ours",
    place: "host",
    kind: "rule",
    commands: () => "ip rule add fwmark 0x77 lookup 77 pref 2500 proto 83",
  },
  {
    what: "a peer's neighbour entry is gone",
    place: "host",
    kind: "neighbour",
    commands: ({ peerNumber }) => `ip neigh del ${transit(peerNumber)}.1 dev skein-vxt`,
  },
  {
    what: "a peer's neighbour entry is another",
    place: "host",
    kind: "neighbour",
    commands: ({ peerNumber }) =>
      `ip neigh replace ${transit(peerNumber)}.1 lladdr 02:00:00:00:00:99 nud permanent dev skein-vxt`,
  },
  {
    what: "a task's neighbour entry is gone",
    place: "host",
    kind: "neighbour",
    commands: ({ gatewayAddress, gatewayEnd }) => `ip neigh del ${gatewayAddress} dev ${gatewayEnd}`,
  },
  {
    what: "a peer's forwarding entry is gone",
    place: "host",
    kind: "forwarding",
    commands: ({ peerNumber, peerAddress }) =>
      `bridge fdb del ${mac(peerNumber)} dev skein-vxt dst ${peerAddress}`,
  },
  {
    what: "a peer's frames go elsewhere",
    place: "host",
    kind: "forwarding",
    commands: ({ peerNumber }) => `bridge fdb replace ${mac(peerNumber)} dev skein-vxt dst 192.0.2.77`,
  },
  {
    what: "a foreign forwarding entry",
    place: "host",
    kind: "forwarding",
    commands: () => "bridge fdb add 02:99:00:00:77:78 dev skein-vxt dst 192.0.2.78",
  },
  {
    what: "the host does not forward",
    place: "host",
    kind: "setting",
    commands: () => "sysctl -qw net.ipv4.ip_forward=0",
  },
  {
    what: "the tunnel has no local addresses routed",
    place: "host",
    kind: "setting",
    commands: () => "sysctl -qw net.ipv4.conf.skein-vxt.route_localnet=0",
  },
  { what: "all rulesets are flushed", place: "host", kind: "table", commands: () => "nft flush ruleset" },
  {
    what: "a base chain is empty",
    place: "host",
    kind: "chain",
    commands: () => "nft flush chain ip skein publish",
  },
  {
    what: "a rule was put before ours",
    place: "host",
    kind: "chain",
    commands: () => "nft insert rule ip skein publish counter drop",
  },
  {
    what: "a port's entry is gone",
    place: "host",
    kind: "element",
    commands: ({ publishedPort }) => `nft delete element ip skein ports '{ tcp . ${publishedPort} }'`,
  },
  {
    what: "a set is empty",
    place: "host",
    kind: "element",
    commands: () => "nft flush set ip skein exposed",
  },
  {
    what: "a foreign element",
    place: "host",
    kind: "element",
    commands: () => "nft add element ip skein nodes '{ 192.0.2.79 }'",
  },
  {
    what: "a foreign chain",
    place: "host",
    kind: "chain",
    commands: () => "nft add chain ip skein strange",
  },
  {
    what: "a foreign set",
    place: "host",
    kind: "set",
    commands: () => "nft add set ip skein strange '{ type ipv4_addr ; }'",
  },
  {
    what: "the overlay's tunnel is down",
    place: "network",
    kind: "link",
    commands: () => "ip link set vx0 down",
  },
  {
    what: "the overlay's tunnel is gone",
    place: "network",
    kind: "link",
    commands: () => "ip link del vx0",
  },
  {
    what: "a task's overlay interface is gone",
    place: "network",
    kind: "link",
    commands: ({ hostEnd }) => `ip link del ${hostEnd}`,
  },
  {
    what: "a VIP is gone",
    place: "network",
    kind: "address",
    commands: ({ vip }) => `ip addr del ${vip}/32 dev lo`,
  },
  {
    what: "a foreign address in the overlay",
    place: "network",
    kind: "address",
    commands: () => "ip addr add 192.0.2.5/32 dev lo",
  },
  {
    what: "the way to a task elsewhere is gone",
    place: "network",
    kind: "route",
    commands: ({ remoteTask }) => `ip route del ${remoteTask}`,
  },
  {
    what: "the way to a task here is gone",
    place: "network",
    kind: "route",
    commands: ({ taskAddress }) => `ip route del ${taskAddress}`,
  },
  {
    what: "a node's frames go elsewhere",
    place: "network",
    kind: "forwarding",
    commands: ({ peerNumber }) => `bridge fdb replace ${mac(peerNumber)} dev vx0 dst 192.0.2.77`,
  },
  {
    what: "the next hop of a node is gone",
    place: "network",
    kind: "neighbour",
    commands: ({ peerNumber }) => `ip neigh del 169.254.${peerNumber >> 8}.${peerNumber & 255} dev vx0`,
  },
  {
    what: "a task's neighbour entry in the overlay is another",
    place: "network",
    kind: "neighbour",
    commands: ({ taskAddress, hostEnd }) =>
      `ip neigh replace ${taskAddress} lladdr 02:00:00:00:00:98 nud permanent dev ${hostEnd}`,
  },
  {
    what: "the overlay does not forward",
    place: "network",
    kind: "setting",
    commands: () => "sysctl -qw net.ipv4.ip_forward=0",
  },
  {
    what: "a VIP's entry is gone",
    place: "network",
    kind: "element",
    commands: ({ vip }) => `nft delete element ip skein vips '{ ${vip} }'`,
  },
  {
    what: "the overlay's ruleset is flushed",
    place: "network",
    kind: "table",
    commands: () => "nft flush ruleset",
  },
  {
    what: "a task's interface is down",
    place: "task",
    kind: "link",
    commands: () => "ip link set eth0 down",
  },
  {
    what: "a task's address is gone",
    place: "task",
    kind: "address",
    commands: ({ taskAddress }) => `ip addr del ${taskAddress}/24 dev eth0`,
  },
  {
    what: "a task's default route is gone",
    place: "task",
    kind: "route",
    commands: () => "ip route del default",
  },
  {
    what: "the gateway's neighbour entry is gone",
    place: "task",
    kind: "neighbour",
    commands: () => "ip neigh flush dev eth1 nud permanent",
  },
  {
    what: "a task's way to its names is flushed",
    place: "task",
    kind: "table",
    commands: () => "nft flush ruleset",
  },
];
