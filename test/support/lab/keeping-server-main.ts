/**
 * A server on port 8080 that keeps connections, and ends as one should: what it was asked it answers, and
 * says with each answer that the connection ends. Edge: to node:http and the process.
 * The first process of a container: `node keeping-server-main.js`.
 */
import { createServer } from "node:http";

const PORT = 8080;
/** Who says nothing for so long after the signal is left. Below the grace period of steady-load.ts. */
const FAREWELL_MS = 8_000;
const LOOK_MS = 50;

let ending = false;
let open = 0;
const server = createServer((_request, response) => {
  if (ending) response.setHeader("connection", "close");
  response.end("here\n");
});
// Idle connections are the client's to close: one closed here could meet a request on its way.
server.keepAliveTimeout = 0;
server.on("connection", (socket) => {
  open += 1;
  socket.on("close", () => {
    open -= 1;
  });
});
server.listen({ port: PORT, backlog: 4_096 });
process.on("SIGTERM", () => {
  ending = true;
  setTimeout(() => process.exit(0), FAREWELL_MS);
  setInterval(() => {
    if (open === 0) process.exit(0);
  }, LOOK_MS);
});
