/**
 * Changes of published ports as messages to the kernel: the same as mesh-ruleset.ts says in text.
 * Pure. Invariant: one change is one transaction, and lists like the text.
 * Source: docs/design/network-ingress.md, "Cost".
 */
import type { MeshFamily } from "../balance/mesh-family.js";
import { chainOf } from "../balance/mesh-port-rules.js";
import type { PortChanges } from "../balance/mesh-ruleset.js";
import { PORT_MAPS } from "../balance/mesh-ruleset.js";
import type { BackendChoice } from "../balance/nft-text.js";
import { SOURCE_HASH_SEED } from "../balance/nft-text.js";
import type { MeshPort } from "../endpoints/mesh-plan.js";
import type { NftProtocol } from "../endpoints/sandbox.js";
import type { Expression } from "./nft-messages.js";
import { countUp, destinationNat, hashOf, loadPayload, lookUp, matchPort, NftBatch } from "./nft-messages.js";
import { bytesOf, familyNumber } from "./overlay-batch.js";

const TABLE = "skein";
/** What the kernel takes in one call. */
const BATCH_BYTES_MAX = 100_000;
const PROTOCOL_NUMBERS: Readonly<Record<NftProtocol, number>> = { tcp: 6, udp: 17, sctp: 132 };
/** Registers of 16 bytes: one for what is chosen, one for what it is chosen by. */
const CHOSEN = 1;
const SOURCE = 2;
/** Registers of 4 bytes: behind the address, where the port is. */
const PORT_AFTER = { ip: 9, ip6: 12 } as const;

/** @returns undefined when the change must be said in text: it does more than choose backends, or is big. */
export function portBatch(changes: PortChanges, family: MeshFamily): Uint8Array[] | undefined {
  const { removed, filled, freed, added } = changes;
  const batch = new NftBatch(familyNumber(family.word), TABLE);
  for (const map of PORT_MAPS) batch.deleteElements(map, removed[map].map(keyOf));
  for (const { name, choice } of filled) {
    const port = portOf(name);
    if (choice === undefined || port === undefined) return undefined;
    batch.addChain(name).flushChain(name);
    batch.addRule(name, [...matchPort({ register: CHOSEN, ...port }), ...choose(batch, choice, family)]);
  }
  for (const name of freed) batch.flushChain(name).deleteChain(name);
  for (const map of PORT_MAPS) {
    batch.addElements(
      map,
      added[map].map((port) => ({ key: keyOf(port), data: { kind: "goto", chain: chainOf(port) } })),
    );
  }
  return batch.size > BATCH_BYTES_MAX ? undefined : batch.messages();
}

function choose(batch: NftBatch, { by, values }: BackendChoice, family: MeshFamily): Expression[] {
  const map = batch.addAnonymousMap(values.map(targetBytes), { withPorts: true });
  const modulus = values.length;
  const address = family.word === "ip" ? { offset: 12, bytes: 4 } : { offset: 8, bytes: 16 };
  const hash = { source: SOURCE, register: CHOSEN, bytes: address.bytes, modulus, seed: SOURCE_HASH_SEED };
  const number =
    by === "turn"
      ? [countUp({ register: CHOSEN, modulus })]
      : [loadPayload({ register: SOURCE, base: 1, ...address }), hashOf(hash)];
  return [
    ...number,
    lookUp({ map, register: CHOSEN }),
    destinationNat({
      family: familyNumber(family.word),
      addressRegister: CHOSEN,
      portRegister: PORT_AFTER[family.word],
    }),
  ];
}

/** @param target `address . port` */
function targetBytes(target: string): Uint8Array {
  const [address = "", port = ""] = target.split(" . ");
  return Buffer.concat([bytesOf(address), padded16(Number(port))]);
}

function keyOf({ protocol, publishedPort }: MeshPort): Uint8Array {
  return Buffer.concat([Uint8Array.of(PROTOCOL_NUMBERS[protocol], 0, 0, 0), padded16(publishedPort)]);
}

/** Of a chain that `chainOf` or `innerChainOf` named. */
function portOf(chain: string): { protocol: number; port: number } | undefined {
  const match = /^(?:port|to)_(tcp|udp|sctp)_(\d+)$/.exec(chain);
  if (match === null) return undefined;
  const protocol = match[1] as NftProtocol; // one of the three, by the expression
  return { protocol: PROTOCOL_NUMBERS[protocol], port: Number(match[2]) };
}

/** 16 bits in network order; parts of a concatenation fill four bytes each. */
function padded16(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(value, 0);
  return bytes;
}
