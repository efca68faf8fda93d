/**
 * Load and measures from inside a network namespace, with tools that are not what is measured: iperf3, wrk,
 * nginx, and Python's blocking sockets, whose own cost is small and steady. Edge: to processes.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, run } from "../test/support/lab/shell.js";
import { until } from "./swarm-lab.js";

const TOOLS: Readonly<Record<string, string>> = {
  iperf3: "iperf3",
  wrk: "wrk",
  nginx: "nginx-light",
  python3: "python3",
  taskset: "util-linux",
};

/** @throws {Error} naming the packages that are missing. */
export async function requireTools(): Promise<void> {
  const missing: string[] = [];
  for (const [tool, pack] of Object.entries(TOOLS))
    if ((await attempt("which", [tool])).code !== 0) missing.push(pack);
  if (missing.length > 0)
    throw new Error(`this benchmark needs: apt-get install --no-install-recommends ${missing.join(" ")}`);
}

/** A namespace, by its path. */
export type Netns = string;

export const netnsOfProcess = (pid: number): Netns => `/proc/${pid}/ns/net`;

/** @throws {Error} with the command's words. @returns its standard output. */
export function inside(netns: Netns, command: string, ...args: readonly string[]): Promise<string> {
  return run("nsenter", [`--net=${netns}`, command, ...args], { timeoutMs: 120_000 });
}

/** A server that lives until `close`. */
export interface Served {
  close(): void;
}

/** Ends with the benchmark, too, however that ends. */
function served(child: ChildProcess, signal: "SIGKILL" | "SIGTERM"): Served {
  const close = (): void => {
    process.off("exit", close);
    child.kill(signal);
  };
  process.on("exit", close);
  return { close };
}

function serve(netns: Netns, command: string, args: readonly string[]): Served {
  return served(spawn("nsenter", [`--net=${netns}`, command, ...args], { stdio: "ignore" }), "SIGKILL");
}

async function untilListening(netns: Netns, port: number): Promise<void> {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  await until(`a listener on port ${port}`, 10_000, async () => {
    const tables = await inside(netns, "cat", "/proc/self/net/tcp", "/proc/self/net/tcp6");
    return tables.split("\n").some((line) => line.includes(hex) && line.includes(" 0A "));
  });
}

export async function serveIperf(netns: Netns, port: number): Promise<Served> {
  const server = serve(netns, "iperf3", ["-s", "-p", String(port)]);
  await untilListening(netns, port);
  return server;
}

/** Gbit/s received, one stream. */
export async function throughput(netns: Netns, address: string, port: number, seconds = 3): Promise<number> {
  const args = ["-c", address, "-p", String(port), "-t", String(seconds), "-J"];
  const text = await inside(netns, "iperf3", ...args);
  const parsed = JSON.parse(text) as { end: { sum_received: { bits_per_second: number } } }; // iperf3's own
  return parsed.end.sum_received.bits_per_second / 1e9;
}

/** Answers 64 bytes to 64 bytes, one connection after the other. */
const ECHO = `
import socket,sys
s=socket.socket();s.setsockopt(1,2,1);s.bind(("0.0.0.0",int(sys.argv[1])));s.listen(512)
while True:
    c,_=s.accept()
    try:
        c.setsockopt(6,1,1)
        while True:
            d=c.recv(4096)
            if not d: break
            c.sendall(d)
    except OSError: pass
    c.close()
`;

/**
 * Prints microseconds, in order: requests on one connection, or connections opened and closed. They end by a
 * reset, or the ports in TIME_WAIT would be what is measured.
 */
const ASK = `
import socket,struct,sys,time
a=(sys.argv[1],int(sys.argv[2]));n=int(sys.argv[4]);t=time.perf_counter;v=[]
reset=struct.pack("ii",1,0)
if sys.argv[3]=="kept":
    s=socket.create_connection(a,timeout=5);s.setsockopt(6,1,1);d=b"x"*64
    for i in range(n+200):
        x=t();s.sendall(d);g=0
        while g<64: g+=len(s.recv(64))
        if i>=200: v.append(t()-x)
else:
    for i in range(n+50):
        x=t();s=socket.socket();s.settimeout(5);s.connect(a);y=t();s.setsockopt(1,13,reset);s.close()
        if i>=50: v.append(y-x)
v.sort()
print(1e6*v[len(v)//2],1e6*v[len(v)//10],1e6*v[len(v)*99//100])
`;

/** Both ends on one CPU: what a wake-up across CPUs costs would hide the path. */
const PINNED = ["-c", "0", "python3", "-c"] as const;

export async function serveEcho(netns: Netns, port: number): Promise<Served> {
  const server = serve(netns, "taskset", [...PINNED, ECHO, String(port)]);
  await untilListening(netns, port);
  return server;
}

/** Microseconds. */
export interface Latency {
  readonly p50: number;
  readonly p10: number;
  readonly p99: number;
}

function latencyIn(text: string): Latency {
  const [p50, p10, p99] = text.trim().split(" ").map(Number);
  if (p50 === undefined || p10 === undefined || p99 === undefined || Number.isNaN(p50 + p10 + p99))
    throw new Error(`no latency in "${text}"`);
  return { p50, p10, p99 };
}

/** Of 64-byte requests on one connection, or of opening a connection. */
export async function latency(
  netns: Netns,
  address: string,
  port: number,
  kind: "kept" | "opened",
): Promise<Latency> {
  const count = kind === "kept" ? 4_000 : 1_000;
  return latencyIn(
    await inside(netns, "taskset", ...PINNED, ASK, address, String(port), kind, String(count)),
  );
}

/** An HTTP server with a two-byte answer. */
export async function serveHttp(netns: Netns, port: number, dir: string): Promise<Served> {
  const home = join(dir, `nginx-${port}`);
  if (!existsSync(home)) mkdirSync(home, { recursive: true });
  const config = join(home, "nginx.conf");
  writeFileSync(
    config,
    `daemon off; worker_processes 1; pid ${home}/pid; error_log ${home}/error.log crit;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000;
  client_body_temp_path ${home}; proxy_temp_path ${home}; fastcgi_temp_path ${home};
  uwsgi_temp_path ${home}; scgi_temp_path ${home};
  server { listen 0.0.0.0:${port} backlog=4096; location / { return 200 "ok"; } } }
`,
  );
  const child = spawn("nsenter", [`--net=${netns}`, "nginx", "-p", home, "-c", config, "-e", `${home}/err`], {
    stdio: "ignore",
  });
  await untilListening(netns, port);
  return served(child, "SIGTERM"); // the master ends its worker
}

/** Requests per second with 32 connections, each kept or opened anew. @throws {Error} when any failed. */
export async function requestRate(netns: Netns, url: string, kind: "kept" | "opened"): Promise<number> {
  const header = kind === "kept" ? [] : ["-H", "Connection: close"];
  const text = await inside(netns, "wrk", "-t1", "-c32", "-d3", ...header, url);
  const failed = /Socket errors:.*|Non-2xx.*/.exec(text);
  if (failed !== null) throw new Error(`${url}: ${failed[0]}`);
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(text)?.[1];
  if (rate === undefined) throw new Error(`wrk said: ${text}`);
  return Number(rate);
}

const DNS = `
import socket,sys,time,struct
name,mode,n=sys.argv[1],sys.argv[2],int(sys.argv[3])
def q(i):
    h=struct.pack(">HHHHHH",i&65535,256,1,0,0,0)
    return h+b"".join(bytes([len(p)])+p.encode() for p in name.split("."))+b"\\0"+struct.pack(">HH",1,1)
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.connect(("127.0.0.11",53));s.settimeout(2)
t=time.perf_counter
if mode=="one":
    v=[]
    for i in range(n+300):
        d=q(i);x=t();s.send(d);r=s.recv(2048)
        if i>=300: v.append(t()-x)
        assert r[:2]==d[:2] and r[3]&15==0 and r[7]>0
    v.sort();print(1e6*v[n//2],1e6*v[n//10],1e6*v[n*99//100])
elif mode=="flood":
    s.setsockopt(1,8,1<<22);s.setblocking(False);got=0;sent=0;a=t();end=a+n/10000.0
    while True:
        now=t()
        while sent<n and sent<(now-a)*10000: s.send(q(sent));sent+=1
        try:
            while True: s.recv(2048);got+=1
        except BlockingIOError: pass
        if got>=n or now>end+2: break
    print(sent-got,got/(t()-a),0)
else:
    i=0;end=t()+n;s.settimeout(0.02)
    while t()<end:
        i+=1;s.send(q(i))
        try: r=s.recv(2048)
        except TimeoutError: continue
        if r[3]&15==0 and r[7]>0: print(time.time()*1000,0,0);break
        time.sleep(0.001)
`;

/** Of questions one after the other to the container's resolver. */
export async function lookupLatency(netns: Netns, name: string): Promise<Latency> {
  return latencyIn(await inside(netns, "python3", "-c", DNS, name, "one", "3000"));
}

/** Questions without an answer, of 10 000 a second for five seconds. */
export async function lookupsLost(netns: Netns, name: string): Promise<number> {
  return latencyIn(await inside(netns, "python3", "-c", DNS, name, "flood", "50000")).p50;
}

/** Waits until the name has an address. @returns when, in milliseconds since the epoch. */
export async function resolvedAt(netns: Netns, name: string): Promise<number> {
  return latencyIn(await inside(netns, "python3", "-c", DNS, name, "wait", "60")).p50;
}
