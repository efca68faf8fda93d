/**
 * Where names are served inside sandboxes. Pure.
 */

/** As tasks know it from resolv.conf, at port 53; the same as Docker's. */
export const DNS_ADDRESS = "127.0.0.11";
/** Where our sockets are: above the kernel's ephemeral range, so that no client socket is in the way. */
export const DNS_SERVED_PORT = 65_353;
