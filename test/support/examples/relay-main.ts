/**
 * Listens inside a lab and passes connections on to a unix socket outside: arguments ADDRESS SOCKET; says its
 * port. Edge: to node:net.
 */
import { type AddressInfo, connect, createServer } from "node:net";

const [address = "", socketPath = ""] = process.argv.slice(2);
const server = createServer((near) => {
  const far = connect(socketPath);
  near.once("error", () => far.destroy());
  far.once("error", () => near.destroy());
  near.pipe(far).pipe(near);
});
server.listen(0, address, () => {
  const { port } = server.address() as AddressInfo; // an address and a port were asked for
  process.stdout.write(`${port}\n`);
});
