import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";
import { InvalidArgumentError } from "../errors/errors.js";
import { bits, DerReader, explicit, integer, oid, sequence, TAG, time, tlv } from "./der.js";
import { fromPem, toPem } from "./pem.js";
import { createKeyAndCsr, ECDSA_SHA256, publicKeyOfCsr } from "./x509-csr.js";
import { distinguishedName } from "./x509-name.js";

const LABEL = "CERTIFICATE REQUEST";

test("a request names the public half of its key", async () => {
  const { keyPem, csrPem } = await createKeyAndCsr();
  const expected = createPublicKey(createPrivateKey(keyPem)).export({ format: "pem", type: "spki" });
  assert.equal(publicKeyOfCsr(csrPem).export({ format: "pem", type: "spki" }), expected);
});

test("a request is understood by openssl", async () => {
  const { csrPem } = await createKeyAndCsr();
  const said = execFileSync("openssl", ["req", "-verify", "-noout", "-subject"], {
    input: csrPem,
    stdio: "pipe",
  });
  assert.match(said.toString(), /CN ?= ?skein-node/);
});

test("a request changed on the way is refused", async () => {
  const { csrPem } = await createKeyAndCsr();
  const der = fromPem(LABEL, csrPem);
  der[20] = (der[20] ?? 0) ^ 1; // inside the subject's text
  assert.throws(() => publicKeyOfCsr(toPem(LABEL, der)), /not signed by the key it asks for/);
});

test("a request cut off anywhere, or bent anywhere, is an invalid argument and nothing else", async () => {
  const { csrPem } = await createKeyAndCsr();
  const der = fromPem(LABEL, csrPem);
  for (let length = 1; length < der.length; length += 7) {
    assert.throws(() => publicKeyOfCsr(toPem(LABEL, der.subarray(0, length))), InvalidArgumentError);
  }
  for (let at = 0; at < der.length; at += 3) {
    const bent = der.slice();
    bent[at] = (bent[at] ?? 0) ^ 0xff;
    assert.throws(() => publicKeyOfCsr(toPem(LABEL, bent)), InvalidArgumentError);
  }
});

test("text that is no request is refused", () => {
  for (const text of ["", "hello", toPem("CERTIFICATE", Uint8Array.of(0x30, 0)), "x".repeat(9_000)]) {
    assert.throws(() => publicKeyOfCsr(text), InvalidArgumentError);
  }
});

test("a key other than P-256 is refused", () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "secp384r1" });
  const info = sequence(
    integer(Uint8Array.of(0)),
    distinguishedName({ CN: "x" }),
    publicKey.export({ format: "der", type: "spki" }),
    explicit(0),
  );
  const csr = toPem(LABEL, sequence(info, ECDSA_SHA256, bits(sign("sha256", info, privateKey))));
  assert.throws(() => publicKeyOfCsr(csr), /must hold an ECDSA P-256 key/);
});

test("DER: lengths, integers, object identifiers and times are minimal", () => {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  assert.equal(hex(integer(Uint8Array.of(0, 0, 0x80))), "02020080");
  assert.equal(hex(integer(Uint8Array.of(0))), "020100");
  assert.equal(hex(oid("1.2.840.10045.4.3.2")), "06082a8648ce3d040302");
  assert.equal(hex(tlv(TAG.octetString, new Uint8Array(200))).slice(0, 6), "0481c8");
  assert.equal(hex(tlv(TAG.octetString, new Uint8Array(300))).slice(0, 8), "0482012c");
  assert.equal(Buffer.from(time(Date.UTC(2026, 0, 2, 3, 4, 5, 600)).subarray(2)).toString(), "260102030405Z");
  assert.equal(Buffer.from(time(Date.UTC(2051, 0, 2)).subarray(2)).toString(), "20510102000000Z");
});

test("DER: lengths in longer form than needed are refused", () => {
  const reader = (hex: string): DerReader => new DerReader(new Uint8Array(Buffer.from(hex, "hex")));
  assert.throws(() => reader("048105ffffffffff").next(TAG.octetString), InvalidArgumentError);
  assert.throws(() => reader("0480").next(TAG.octetString), InvalidArgumentError);
  assert.throws(() => reader("0484ffffffff").next(TAG.octetString), InvalidArgumentError);
  assert.throws(() => reader("0405ff").next(TAG.octetString), InvalidArgumentError);
});
