/**
 * Netlink messages of nf_tables: elements, chains, and the expressions of rules that choose a backend.
 * nft(8)'s library reads all chains, and often all elements, before each transaction: with a thousand
 * services that takes longer than the change itself, so that what changes often is said to the kernel
 * directly.
 * Pure. Invariant: numbers are big-endian, addresses and ports as on the wire; what is written can be listed
 * by nft(8) like its own.
 * Source: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h.
 */
import type { Attribute } from "./rtnetlink-codec.js";
import { decodeAttributes, decodePayload, encodeMessage, nested, readText, text } from "./rtnetlink-codec.js";

export const FAMILY_IP = 2;
export const FAMILY_IP6 = 10;

const SUBSYSTEM = 10 << 8;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const MSG = {
  newChain: SUBSYSTEM | 3,
  getChain: SUBSYSTEM | 4,
  deleteChain: SUBSYSTEM | 5,
  newRule: SUBSYSTEM | 6,
  deleteRule: SUBSYSTEM | 8,
  newSet: SUBSYSTEM | 9,
  newElement: SUBSYSTEM | 12,
  getElement: SUBSYSTEM | 13,
  deleteElement: SUBSYSTEM | 14,
} as const;
const NLM_F_CREATE = 0x400;
const NLM_F_APPEND = 0x800;
const NLM_F_DUMP = 0x300;
const NLM_F_ACK = 4;
const NLA_F_NESTED = 0x8000;

const LIST_ELEMENT = 1;
const SET = {
  table: 1,
  name: 2,
  flags: 3,
  keyType: 4,
  keyBytes: 5,
  dataType: 6,
  dataBytes: 7,
  description: 9,
  id: 10,
  userData: 13,
} as const;
const ELEMENTS = { table: 1, set: 2, list: 3, setId: 4 } as const;
const ELEMENT = { key: 1, data: 2 } as const;
const DATA = { value: 1, verdict: 2 } as const;
const VERDICT = { code: 1, chain: 2 } as const;
const META_L4PROTO = 16;
const NFT_GOTO = 0xffff_fffc;
const SET_ANONYMOUS_CONSTANT_MAP = 1 | 2 | 8;
const TYPE_INTEGER = 4;
const TYPE_IPV4 = 7;
const TYPE_IPV6 = 8;
const TYPE_PORT = 13;
/** How nft(8) is to show an anonymous map: keys are the host's integers, values as on the wire. */
const MAP_USER_DATA = Uint8Array.from([0, 4, 1, 0, 0, 0, 1, 4, 2, 0, 0, 0, 6, 4, 0, 0, 0, 0]);
/** What one message may carry: attributes count their bytes in 16 bits. */
const ELEMENTS_PER_MESSAGE_MAX = 500;

export type Expression = Attribute;

/** What a map leads to. */
export type ElementData =
  | { readonly kind: "goto"; readonly chain: string }
  | { readonly kind: "value"; readonly bytes: Uint8Array };

export interface Element {
  readonly key: Uint8Array;
  readonly data?: ElementData;
}

function be32(type: number, value: number): Attribute {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value, 0);
  return { type, value: bytes };
}

function nest(type: number, attributes: readonly Attribute[]): Attribute {
  return nested(type | NLA_F_NESTED, attributes);
}

function expression(name: string, attributes: readonly Attribute[]): Expression {
  return nest(LIST_ELEMENT, [text(1, name), nest(2, attributes)]);
}

/** Loads bytes of the network header (base 1) or the transport header (base 2) into a register. */
export function loadPayload(options: {
  register: number;
  base: 1 | 2;
  offset: number;
  bytes: number;
}): Expression {
  return expression("payload", [
    be32(1, options.register),
    be32(2, options.base),
    be32(3, options.offset),
    be32(4, options.bytes),
  ]);
}

/** Goes on for this transport protocol and destination port alone. Leaves its traces in the register. */
export function matchPort(options: { register: number; protocol: number; port: number }): Expression[] {
  const { register, protocol, port } = options;
  const equals = (bytes: Uint8Array): Expression =>
    expression("cmp", [be32(1, register), be32(2, 0), nest(3, [{ type: DATA.value, value: bytes }])]);
  const portBytes = Buffer.alloc(2);
  portBytes.writeUInt16BE(port, 0);
  return [
    expression("meta", [be32(2, META_L4PROTO), be32(1, register)]),
    equals(Uint8Array.of(protocol)),
    loadPayload({ register, base: 2, offset: 2, bytes: 2 }),
    equals(portBytes),
  ];
}

/** Each packet the next number below `modulus`. */
export function countUp(options: { register: number; modulus: number }): Expression {
  return expression("numgen", [be32(1, options.register), be32(2, options.modulus), be32(3, 0), be32(4, 0)]);
}

/** Jenkins' hash of a register's bytes, below `modulus`. */
export function hashOf(options: {
  source: number;
  register: number;
  bytes: number;
  modulus: number;
  seed: number;
}): Expression {
  return expression("hash", [
    be32(1, options.source),
    be32(2, options.register),
    be32(3, options.bytes),
    be32(4, options.modulus),
    be32(5, options.seed),
    be32(7, 0),
  ]);
}

/** Looks a register up in a map of the same batch and leaves the value in it. */
export function lookUp(options: { map: AnonymousMap; register: number }): Expression {
  return expression("lookup", [
    text(1, MAP_NAME),
    be32(2, options.register),
    be32(3, options.register),
    be32(4, options.map.id),
  ]);
}

/** @param options.portRegister where the address comes with a port. */
export function destinationNat(options: {
  family: number;
  addressRegister: number;
  portRegister?: number;
}): Expression {
  const { family, addressRegister, portRegister } = options;
  return expression("nat", [
    be32(1, 1), // destination
    be32(2, family),
    be32(3, addressRegister),
    ...(portRegister === undefined ? [] : [be32(5, portRegister)]),
  ]);
}

const MAP_NAME = "__map%d";

export interface AnonymousMap {
  readonly id: number;
}

/** One transaction on one table, written in order. */
export class NftBatch {
  readonly #family: number;
  readonly #table: string;
  readonly #messages: Uint8Array[] = [];
  #mapCount = 0;

  constructor(family: number, table: string) {
    this.#family = family;
    this.#table = table;
  }

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  /** Bytes so far. */
  get size(): number {
    return this.#messages.reduce((sum, message) => sum + message.length, 0);
  }

  /** Fine when it is there. */
  addChain(name: string): this {
    return this.#add(MSG.newChain, NLM_F_CREATE, [text(1, this.#table), text(3, name)]);
  }

  flushChain(name: string): this {
    return this.#add(MSG.deleteRule, 0, [text(1, this.#table), text(2, name)]);
  }

  deleteChain(name: string): this {
    return this.#add(MSG.deleteChain, 0, [text(1, this.#table), text(3, name)]);
  }

  addRule(chain: string, expressions: readonly Expression[]): this {
    return this.#add(MSG.newRule, NLM_F_CREATE | NLM_F_APPEND, [
      text(1, this.#table),
      text(2, chain),
      nest(4, expressions),
    ]);
  }

  /**
   * A map from 0, 1, 2… to these values, for one rule of this batch.
   * @param values all of one length: an address, with a port in four bytes when `withPorts`.
   */
  addAnonymousMap(values: readonly Uint8Array[], options: { withPorts: boolean }): AnonymousMap {
    this.#mapCount += 1;
    const id = this.#mapCount;
    const address = this.#family === FAMILY_IP ? TYPE_IPV4 : TYPE_IPV6;
    this.#add(MSG.newSet, NLM_F_CREATE, [
      text(SET.table, this.#table),
      text(SET.name, MAP_NAME),
      be32(SET.flags, SET_ANONYMOUS_CONSTANT_MAP),
      be32(SET.keyType, TYPE_INTEGER),
      be32(SET.keyBytes, 4),
      be32(SET.dataType, options.withPorts ? (address << 6) | TYPE_PORT : address),
      be32(SET.dataBytes, values[0]?.length ?? 0),
      be32(SET.id, id),
      nest(SET.description, [be32(1, values.length)]),
      { type: SET.userData, value: MAP_USER_DATA },
    ]);
    const elements = values.map((bytes, index): Element => {
      const key = Buffer.alloc(4);
      key.writeUInt32LE(index, 0);
      return { key, data: { kind: "value", bytes } };
    });
    this.#elements({ type: MSG.newElement, flags: NLM_F_CREATE }, { name: MAP_NAME, id, elements });
    return { id };
  }

  addElements(set: string, elements: readonly Element[]): this {
    this.#elements({ type: MSG.newElement, flags: NLM_F_CREATE }, { name: set, elements });
    return this;
  }

  deleteElements(set: string, keys: readonly Uint8Array[]): this {
    this.#elements(
      { type: MSG.deleteElement, flags: 0 },
      { name: set, elements: keys.map((key) => ({ key })) },
    );
    return this;
  }

  /** The whole transaction, none when nothing was asked. */
  messages(): Uint8Array[] {
    if (this.isEmpty) return [];
    return [batchMark(BATCH_BEGIN), ...this.#messages, batchMark(BATCH_END)];
  }

  #elements(
    how: { type: number; flags: number },
    what: { name: string; id?: number; elements: readonly Element[] },
  ): void {
    for (let from = 0; from < what.elements.length; from += ELEMENTS_PER_MESSAGE_MAX) {
      const part = what.elements.slice(from, from + ELEMENTS_PER_MESSAGE_MAX);
      this.#add(how.type, how.flags, [
        text(ELEMENTS.table, this.#table),
        text(ELEMENTS.set, what.name),
        ...(what.id === undefined ? [] : [be32(ELEMENTS.setId, what.id)]),
        nest(ELEMENTS.list, part.map(elementOf)),
      ]);
    }
  }

  #add(type: number, flags: number, attributes: readonly Attribute[]): this {
    this.#messages.push(encodeMessage({ type, flags, fixed: header(this.#family), attributes }));
    return this;
  }
}

function elementOf({ key, data }: Element): Attribute {
  const value = nest(ELEMENT.key, [{ type: DATA.value, value: key }]);
  if (data === undefined) return nest(LIST_ELEMENT, [value]);
  const inner =
    data.kind === "value"
      ? { type: DATA.value, value: data.bytes }
      : nest(DATA.verdict, [be32(VERDICT.code, NFT_GOTO), text(VERDICT.chain, data.chain)]);
  return nest(LIST_ELEMENT, [value, nest(ELEMENT.data, [inner])]);
}

/** struct nfgenmsg. */
function header(family: number, subsystem = 0): Uint8Array {
  return Uint8Array.of(family, 0, 0, subsystem);
}

function batchMark(type: number): Uint8Array {
  return encodeMessage({ type, flags: 0, fixed: header(0, SUBSYSTEM >> 8) });
}

export function dumpChains(family: number): Uint8Array {
  return encodeMessage({ type: MSG.getChain, flags: NLM_F_DUMP, fixed: header(family) });
}

export function decodeChain(payload: Uint8Array): { table: string; name: string } {
  const { attributes } = decodePayload(payload, 4);
  return { table: readText(attributes.get(1)) ?? "", name: readText(attributes.get(3)) ?? "" };
}

export function dumpElements(options: { family: number; table: string; set: string }): Uint8Array {
  return encodeMessage({
    type: MSG.getElement,
    flags: NLM_F_DUMP | NLM_F_ACK,
    fixed: header(options.family),
    attributes: [text(ELEMENTS.table, options.table), text(ELEMENTS.set, options.set)],
  });
}

/** Keys of a set; of a map of verdicts also the chains. */
export function decodeElements(payload: Uint8Array): { key: Uint8Array; chain: string | undefined }[] {
  const list = decodePayload(payload, 4).attributes.get(ELEMENTS.list);
  return (list === undefined ? [] : listOf(list)).flatMap((bytes) => {
    const element = decodeAttributes(bytes);
    const key = decodeAttributes(element.get(ELEMENT.key) ?? Buffer.alloc(0)).get(DATA.value);
    const data = decodeAttributes(element.get(ELEMENT.data) ?? Buffer.alloc(0));
    const verdict = decodeAttributes(data.get(DATA.verdict) ?? Buffer.alloc(0));
    return key === undefined ? [] : [{ key, chain: readText(verdict.get(VERDICT.chain)) }];
  });
}

/** Attributes that all have one type. */
function listOf(bytes: Buffer): Buffer[] {
  const items: Buffer[] = [];
  let offset = 0;
  while (offset + 4 <= bytes.length) {
    const length = bytes.readUInt16LE(offset);
    if (length < 4 || offset + length > bytes.length) break;
    items.push(bytes.subarray(offset + 4, offset + length));
    offset += (length + 3) & ~3;
  }
  return items;
}
