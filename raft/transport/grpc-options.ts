/**
 * Channel and server settings of the Raft streams. Edge: to @grpc/grpc-js.
 */
import type { ChannelOptions } from "@grpc/grpc-js";

/** Above the largest entry, with room for the frame around it. */
const MESSAGE_BYTES_MAX = 32 * 1024 * 1024;
/** A fast disk and a slow round trip: 4 MiB in flight fill 300 Mbit/s at 100 ms. */
const WINDOW_BYTES = 4 * 1024 * 1024;

/**
 * A dead host is noticed after one ping period and one timeout: 3 s.
 * Heartbeats keep Raft itself faster than that.
 */
const KEEPALIVE: ChannelOptions = {
  "grpc.keepalive_time_ms": 1_500,
  "grpc.keepalive_timeout_ms": 1_500,
  "grpc.keepalive_permit_without_calls": 1,
};

/** First retry after about 20 ms, then growing to 1 s: a restarted peer is back in the quorum at once. */
export const RECONNECT_BACKOFF = { initialMs: 20, maxMs: 1_000, factor: 2 } as const;

export const PEER_CHANNEL_OPTIONS: ChannelOptions = {
  ...KEEPALIVE,
  "grpc.initial_reconnect_backoff_ms": RECONNECT_BACKOFF.initialMs,
  "grpc.max_reconnect_backoff_ms": RECONNECT_BACKOFF.maxMs,
  "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
  "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
  "grpc-node.flow_control_window": WINDOW_BYTES,
  "grpc.use_local_subchannel_pool": 1, // one connection for the stream, one for snapshots, shared with nobody
  "grpc.enable_channelz": 0,
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
};

/**
 * For the server that the Raft handlers are registered on. Channelz stays on:
 * without it grpc-js 1.14 does not keep track of its sessions, and `forceShutdown` leaves them open.
 */
export const RAFT_SERVER_OPTIONS: ChannelOptions = {
  ...KEEPALIVE,
  "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
  "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
  "grpc-node.flow_control_window": WINDOW_BYTES,
};
