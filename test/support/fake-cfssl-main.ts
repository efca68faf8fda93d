/**
 * A CA outside the swarm: signs what it is asked to by CFSSL's JSON, with the root in a folder. For tests.
 * Edge: to node:https and the file system. Arguments: folder with root.pem and root-key.pem, port.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { join } from "node:path";
import { createKeyAndCsr } from "../../base/pki/x509-csr.js";
import { systemRandom } from "../../base/random/system-random.js";
import { issueNodeCertificate } from "../../manager/ca/x509-certificates.js";

interface Asked {
  readonly certificate_request: string;
  readonly profile?: string;
  readonly subject: {
    readonly CN: string;
    readonly names: readonly { readonly O: string; readonly OU: string }[];
  };
}

const [dir = "", port = ""] = process.argv.slice(2);
const root = {
  certPem: readFileSync(join(dir, "root.pem"), "utf8"),
  keyPem: readFileSync(join(dir, "root-key.pem"), "utf8"),
};
const sign = (csrPem: string, { CN, names }: Asked["subject"]): string =>
  issueNodeCertificate({
    root,
    csrPem,
    nodeId: CN,
    role: names[0]?.OU === "swarm-manager" ? "swarm-manager" : "swarm-worker",
    clusterId: names[0]?.O ?? "",
    nowMs: Date.now(),
    expiryMs: 3_600_000,
    random: systemRandom,
  });
const own = await createKeyAndCsr();
const cert = sign(own.csrPem, { CN: "localhost", names: [{ O: "outside", OU: "swarm-worker" }] });
let signed = 0;
createServer({ key: own.keyPem, cert }, (request, response) => {
  if (request.method !== "POST") {
    response.writeHead(405).end();
    return;
  }
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const asked = JSON.parse(Buffer.concat(chunks).toString()) as Asked; // the tests' managers
    if (asked.profile === "CA") {
      const errors = [{ code: 5_200, message: "no CA is signed here" }];
      response.end(JSON.stringify({ success: false, result: null, errors, messages: [] }));
      return;
    }
    signed += 1;
    writeFileSync(join(dir, "signed"), String(signed));
    const result = { certificate: sign(asked.certificate_request, asked.subject) };
    response.end(JSON.stringify({ success: true, result, errors: [], messages: [] }));
  });
}).listen(Number(port), "localhost", () => writeFileSync(join(dir, "ready"), ""));
