/**
 * What a node asks of its managers for containers that are no tasks, and what they tell it of them.
 * Pure (interfaces only). Implementation: worker/agent/grpc-attachment-calls.ts.
 */
import type { AttachReply, AttachRequest } from "../../proto/gen/skein/v1/attachments.js";

export interface ManagerAttachments {
  /**
   * Asked of one manager after the other until one answers. Idempotent per container and network.
   * @throws what the leader answers; {UnavailableError} none was reached in time.
   */
  attach(request: AttachRequest, options: { timeoutMs: number }): Promise<AttachReply>;
  /** A missing one is fine. @throws as above. */
  detach(attachmentId: string, options: { timeoutMs: number }): Promise<void>;
}

/** An attachment that the managers count as this node's. */
export interface AssignedAttachment {
  readonly id: string;
  readonly containerId: string;
  readonly networkId: string;
}

export interface AttachmentNews {
  /** True: `upserts` are all there are. */
  readonly complete: boolean;
  readonly upserts: readonly AssignedAttachment[];
  readonly removals: readonly string[];
}
