/**
 * npm run bench -- NAME. Each benchmark states its question in its file, prints a table, then one JSON line.
 */
const benches: Readonly<Record<string, () => Promise<{ run: () => Promise<void> }>>> = {
  start: () => import("./start.js"),
  stack: () => import("./stack.js"),
  compose: () => import("./compose.js"),
  control: () => import("./control.js"),
  "control-cluster": () => import("./control-cluster.js"),
  "control-orchestrator": () => import("./control-orchestrator.js"),
  "control-scheduler": () => import("./control-scheduler.js"),
  "control-store": () => import("./control-store.js"),
  failover: () => import("./failover.js"),
  net: () => import("./net.js"),
  memory: () => import("./memory.js"),
  raft: () => import("./raft.js"),
  rejoin: () => import("./rejoin.js"),
  engine: () => import("./engine.js"),
  snapshot: () => import("./snapshot.js"),
  "control-lab": () => import("./control-lab.js"),
  cli: () => import("./cli.js"),
};

// What a benchmark made is swept at the exit of its process: an interruption has to be one.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const name = process.argv[2] ?? "";
const load = benches[name];
if (load === undefined) {
  console.error(`usage: npm run bench -- NAME, where NAME is ${Object.keys(benches).join(", ")}`);
  process.exit(2);
}
const { run } = await load();
await run();
process.exit(0);
