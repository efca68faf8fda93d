/**
 * Changes of an overlay's nft table as messages to the kernel: the same as overlay-ruleset.ts says in text.
 * Pure. Invariant: one change is one transaction.
 */
import type { BackendChoice } from "../balance/nft-text.js";
import { SOURCE_HASH_SEED } from "../balance/nft-text.js";
import type { AddressFamily, TableChange } from "../balance/overlay-table.js";
import type { Element, Expression } from "./nft-messages.js";
import {
  countUp,
  destinationNat,
  FAMILY_IP,
  FAMILY_IP6,
  hashOf,
  loadPayload,
  lookUp,
  NftBatch,
} from "./nft-messages.js";
import { ip } from "./rtnetlink-codec.js";

const TABLE = "skein";
/** Registers of 16 bytes: one for what is chosen, one for what it is chosen by. */
const CHOSEN = 1;
const SOURCE = 2;

export function familyNumber(family: AddressFamily): number {
  return family === "ip" ? FAMILY_IP : FAMILY_IP6;
}

/** @returns no message when nothing changes. */
export function overlayBatch(change: TableChange, family: AddressFamily): Uint8Array[] {
  const batch = new NftBatch(familyNumber(family), TABLE);
  const { removed, filled, added, dropped } = change;
  batch.deleteElements("vips", removed.vips.map(bytesOf));
  batch.deleteElements("hairpins", removed.hairpins.map(pairOf));
  for (const [chain, choice] of filled) {
    batch.addChain(chain).flushChain(chain);
    batch.addRule(chain, choose(batch, choice, family));
  }
  const vips = [...added.vips].map(
    ([vip, chain]): Element => ({ key: bytesOf(vip), data: { kind: "goto", chain } }),
  );
  batch.addElements("vips", vips);
  batch.addElements(
    "hairpins",
    added.hairpins.map((address) => ({ key: pairOf(address) })),
  );
  for (const chain of dropped) batch.flushChain(chain).deleteChain(chain);
  return batch.messages();
}

function choose(batch: NftBatch, { by, values }: BackendChoice, family: AddressFamily): Expression[] {
  const map = batch.addAnonymousMap(values.map(bytesOf), { withPorts: false });
  const modulus = values.length;
  const address = family === "ip" ? { offset: 12, bytes: 4 } : { offset: 8, bytes: 16 };
  const number =
    by === "turn"
      ? [countUp({ register: CHOSEN, modulus })]
      : [
          loadPayload({ register: SOURCE, base: 1, ...address }),
          hashOf({
            source: SOURCE,
            register: CHOSEN,
            bytes: address.bytes,
            modulus,
            seed: SOURCE_HASH_SEED,
          }),
        ];
  return [
    ...number,
    lookUp({ map, register: CHOSEN }),
    destinationNat({ family: familyNumber(family), addressRegister: CHOSEN }),
  ];
}

export function bytesOf(address: string): Uint8Array {
  return ip(0, address).value;
}

function pairOf(address: string): Uint8Array {
  const bytes = bytesOf(address);
  return Buffer.concat([bytes, bytes]);
}
