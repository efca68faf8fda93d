// Regenerates proto/gen from proto/*.proto: buf runs ts-proto, then the gRPC stream types are marked type-only,
// which verbatimModuleSyntax demands and ts-proto 1.x does not emit.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

execFileSync("npx", ["buf", "generate"], { stdio: "inherit" });
const folder = "proto/gen/skein/v1";
const typeOnly = /^ {2}((?:Client|Server)(?:Duplex|Readable|Writable)Stream|handle\w*StreamingCall),$/gm;
for (const file of readdirSync(folder)) {
  const path = `${folder}/${file}`;
  writeFileSync(path, readFileSync(path, "utf8").replace(typeOnly, "  type $1,"));
}
