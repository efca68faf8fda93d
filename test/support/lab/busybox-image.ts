/**
 * A small image made from the machine's static busybox: a docker-archive tar. Edge: to node:fs.
 * It holds a shell, the usual applets and the pages of examples/hello;
 * httpd's log names each client's address.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { type Pack, pack } from "tar-stream";

const BUSYBOX_PATHS = ["/bin/busybox", "/usr/bin/busybox"];
const APPLETS = (
  "sh ls cat echo sleep httpd wget nslookup nc hostname id env ps kill mkdir touch rm stat mount umount " +
  "true false date head tail grep sed awk ip ping traceroute chmod chown dd df free sync test seq yes " +
  "sort wc vi tee find xargs cut tr stty printf expr unshare setsid trap"
).split(" ");

const INDEX_CGI = `#!/bin/sh
echo "Content-Type: text/plain"
echo
echo "host: $(hostname)"
client=\${REMOTE_ADDR#"[::ffff:"}
echo "client: \${client%]}"
echo "motto: $(cat /etc/motto 2>/dev/null)"
[ -s /run/secrets/password ] && echo "secret: present" || echo "secret: missing"
echo "greeting: $(wget -q -O - "$GREETER" 2>/dev/null)"
`;

async function collect(tar: Pack): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer); // tar-stream yields Buffers
  return Buffer.concat(chunks);
}

export interface BusyboxImageOptions {
  /** @default ["skein-hello:latest"] */
  readonly tags?: readonly string[];
  readonly cmd?: readonly string[];
  readonly env?: readonly string[];
  readonly user?: string;
  /** More files: path (without leading slash) to content. */
  readonly files?: Readonly<Record<string, string>>;
  readonly healthcheck?: {
    readonly Test: readonly string[];
    readonly Interval?: number;
    readonly Retries?: number;
  };
}

/** The root file system alone, as `import` takes it. */
export function busyboxRootfs(options: BusyboxImageOptions = {}): Promise<Buffer> {
  const path = BUSYBOX_PATHS.find((candidate) => {
    try {
      readFileSync(candidate, { flag: "r" });
      return true;
    } catch {
      return false; // the other place is tried
    }
  });
  if (path === undefined)
    throw new Error(`busybox is in none of ${BUSYBOX_PATHS.join(", ")}: apt-get install busybox-static`);
  const tar = pack();
  const mtime = new Date(0);
  for (const name of ["bin", "etc", "tmp", "www", "www/cgi-bin", "greeter", "root", "var", "run"]) {
    tar.entry({ name: `${name}/`, type: "directory", mode: name === "tmp" ? 0o1777 : 0o755, mtime });
  }
  tar.entry({ name: "bin/busybox", mode: 0o755, mtime }, readFileSync(path));
  for (const applet of APPLETS)
    tar.entry({ name: `bin/${applet}`, type: "symlink", linkname: "busybox", mtime });
  const files: Record<string, string> = {
    "etc/passwd":
      "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\nweb:x:1000:1000:web:/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\nweb:x:1000:\nextra:x:2000:web\n",
    "www/index.html": "hello from skein\n",
    "greeter/greeting": "honk\n",
    ...options.files,
  };
  for (const [name, content] of Object.entries(files)) tar.entry({ name, mode: 0o644, mtime }, content);
  tar.entry({ name: "www/cgi-bin/hello", mode: 0o755, mtime }, INDEX_CGI);
  tar.finalize();
  return collect(tar);
}

/** A docker-archive with that root file system as its one layer. */
export async function busyboxImage(options: BusyboxImageOptions = {}): Promise<Buffer> {
  const layer = await busyboxRootfs(options);
  const diffId = `sha256:${createHash("sha256").update(layer).digest("hex")}`;
  const config = JSON.stringify({
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    os: "linux",
    created: "2026-01-01T00:00:00Z",
    config: {
      Cmd: options.cmd ?? ["sh"],
      Env: ["PATH=/bin", ...(options.env ?? [])],
      ...(options.user === undefined ? {} : { User: options.user }),
      ...(options.healthcheck === undefined ? {} : { Healthcheck: options.healthcheck }),
    },
    rootfs: { type: "layers", diff_ids: [diffId] },
    history: [{ created: "2026-01-01T00:00:00Z", created_by: "busybox" }],
  });
  const configName = `${createHash("sha256").update(config).digest("hex")}.json`;
  const tar = pack();
  tar.entry({ name: configName }, config);
  tar.entry({ name: "layer.tar" }, layer);
  tar.entry(
    { name: "manifest.json" },
    JSON.stringify([
      { Config: configName, RepoTags: options.tags ?? ["skein-hello:latest"], Layers: ["layer.tar"] },
    ]),
  );
  tar.finalize();
  return collect(tar);
}
