import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { holds } from "../../test/fuzz/holds.js";
import { InvalidArgumentError } from "../errors/errors.js";
import { fromPem, toPem } from "./pem.js";
import { createCsr } from "./x509-csr.js";
import { distinguishedName } from "./x509-name.js";
import { certificateParts, issuerKeyHash, publicKeyHash, splitCertificates } from "./x509-parts.js";

const dir = mkdtempSync(join(tmpdir(), "skein-pki-"));
after(() => rmSync(dir, { recursive: true }));

const openssl = (...args: string[]): string =>
  execFileSync("openssl", args, { cwd: dir, stdio: ["ignore", "pipe", "pipe"] }).toString();

/** A root as others make them: RSA, with a name of several parts. */
openssl(
  ...[
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-keyout",
    "rsa.key",
    "-out",
    "rsa.pem",
    "-days",
    "900",
  ],
  ...["-subj", "/C=DE/O=Example/CN=Example Root", "-addext", "keyUsage=critical,keyCertSign"],
);
const rsa = readFileSync(join(dir, "rsa.pem"), "utf8");

test("the parts of somebody else's root: name, key and key id as they stand in it", () => {
  const parts = certificateParts(`text before\n${rsa}`);
  assert.deepEqual([parts.isCa, parts.isSelfSigned], [true, true]);
  assert.equal(parts.keyId?.length, 20);
  assert.ok(Buffer.from(parts.subject).includes("Example Root"));
  assert.ok(parts.publicKeyInfo.length > 250);
  assert.equal(issuerKeyHash(rsa, rsa), publicKeyHash(rsa));
  assert.equal(splitCertificates(`${rsa}\n# note\n${rsa}`).length, 2);
});

test("a request for an RSA key is understood by openssl", () => {
  const keyPem = readFileSync(join(dir, "rsa.key"), "utf8");
  writeFileSync(join(dir, "rsa.csr"), createCsr({ keyPem, subject: distinguishedName({ CN: "x" }) }));
  assert.match(openssl("req", "-in", "rsa.csr", "-noout", "-subject"), /CN ?= ?x/);
});

test("fuzz: a bent certificate is read or is an invalid argument, and nothing else", () => {
  const der = fromPem("CERTIFICATE", rsa);
  const bend = fc.array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  holds(
    fc.property(bend, fc.nat(der.length), (bends, cut) => {
      const bent = der.slice(0, cut > der.length / 2 ? der.length : der.length - (cut % 8));
      for (const [at, value] of bends) if (at < bent.length) bent[at] = value;
      try {
        certificateParts(toPem("CERTIFICATE", bent));
      } catch (error) {
        assert.ok(error instanceof InvalidArgumentError, String(error));
      }
    }),
  );
});
