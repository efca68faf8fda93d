/**
 * Where names are served inside sandboxes. Pure.
 */

/** As tasks know it from resolv.conf, at port 53; the same as Docker's. */
export const DNS_ADDRESS = "127.0.0.11";
/** Where our sockets are: above the kernel's ephemeral range, so that no client socket is in the way. */
export const DNS_SERVED_PORT = 65_353;

/** By UDP, of one sandbox; about a quarter of a processor's time for us. */
const QUESTIONS_PER_SECOND = 30_000;
const QUESTIONS_BURST = 10_000;

const FLOOD = `limit rate over ${QUESTIONS_PER_SECOND}/second burst ${QUESTIONS_BURST} packets`;

export const DNS_REDIRECT_TABLE = "ip skein_dns";
/**
 * Asked at port 53, served at another: a task may run a name server of its own on 0.0.0.0:53. What a sandbox
 * asks beyond QUESTIONS_PER_SECOND the kernel drops before it costs the daemon anything.
 */
export const DNS_REDIRECT = `table ${DNS_REDIRECT_TABLE} {
  chain questions {
    type nat hook output priority -100; policy accept;
    ip daddr ${DNS_ADDRESS} udp dport 53 dnat to ${DNS_ADDRESS}:${DNS_SERVED_PORT}
    ip daddr ${DNS_ADDRESS} tcp dport 53 dnat to ${DNS_ADDRESS}:${DNS_SERVED_PORT}
  }
  chain flood {
    type filter hook output priority filter; policy accept;
    ip daddr ${DNS_ADDRESS} udp dport ${DNS_SERVED_PORT} ${FLOOD} drop
  }
}`;
