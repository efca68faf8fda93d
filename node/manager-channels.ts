/**
 * gRPC channels to managers under mutual TLS, one per address, shared by every client in the process.
 * Edge: to @grpc/grpc-js. Managers are verified by the name `swarm-manager` against the cluster's root,
 * not by host name.
 */
import { Channel, type ChannelCredentials, type ChannelOptions, credentials } from "@grpc/grpc-js";
import type { TlsIdentity } from "./rpc-host.js";

export const MANAGER_SERVER_NAME = "swarm-manager";

export const CHANNEL_OPTIONS: ChannelOptions = {
  "grpc.ssl_target_name_override": MANAGER_SERVER_NAME,
  "grpc.default_authority": MANAGER_SERVER_NAME,
  "grpc.keepalive_time_ms": 2_000,
  "grpc.keepalive_timeout_ms": 2_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.min_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc.max_receive_message_length": 16 * 1024 * 1024,
  "grpc.max_send_message_length": 16 * 1024 * 1024,
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.use_local_subchannel_pool": 1,
};

/** Longer than the deadline of any call between managers. */
const RETIRE_MS = 30_000;

export class ManagerChannels {
  #identity: TlsIdentity;
  #credentials: ChannelCredentials;
  readonly #channels = new Map<string, Channel>();
  /** Of former certificates. */
  readonly #retiring = new Map<NodeJS.Timeout, readonly Channel[]>();

  constructor(identity: TlsIdentity) {
    this.#identity = identity;
    this.#credentials = credentialsOf(identity);
  }

  get identity(): TlsIdentity {
    return this.#identity;
  }

  credentials(): ChannelCredentials {
    return this.#credentials;
  }

  /** The shared channel of an address; pass it as `channelOverride` of a client. */
  to(address: string): Channel {
    let channel = this.#channels.get(address);
    if (channel === undefined) {
      channel = new Channel(address, this.#credentials, CHANNEL_OPTIONS);
      this.#channels.set(address, channel);
    }
    return channel;
  }

  /** Closes the channel of an address that is no manager any more. */
  forget(address: string): void {
    this.#channels.get(address)?.close();
    this.#channels.delete(address);
  }

  /** Calls from now on use the new certificate; those under way end on the old channels. */
  exchangeIdentity(identity: TlsIdentity): void {
    this.#identity = identity;
    this.#credentials = credentialsOf(identity);
    const old = [...this.#channels.values()];
    this.#channels.clear();
    if (old.length === 0) return;
    const retiring = setTimeout(() => {
      this.#retiring.delete(retiring);
      for (const channel of old) channel.close();
    }, RETIRE_MS);
    this.#retiring.set(retiring, old);
  }

  close(): void {
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
    for (const [timer, channels] of this.#retiring) {
      clearTimeout(timer);
      for (const channel of channels) channel.close();
    }
    this.#retiring.clear();
  }
}

function credentialsOf(identity: TlsIdentity): ChannelCredentials {
  return credentials.createSsl(
    Buffer.from(identity.rootCaPem),
    Buffer.from(identity.keyPem),
    Buffer.from(identity.certificatePem),
  );
}
