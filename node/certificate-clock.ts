/**
 * When a node certificate is due for renewal. Edge: to node:crypto for reading the certificate.
 * Rule: at random between 50 and 80 % of its life, so that a fleet made at once does not renew at once.
 */
import { X509Certificate } from "node:crypto";
import type { Random } from "../base/random/random.js";

/** @returns milliseconds from `nowMs` until renewal; 0 when overdue. */
export function renewalDelayMs(certificatePem: string, nowMs: number, random: Random): number {
  const certificate = new X509Certificate(certificatePem);
  const fromMs = Date.parse(certificate.validFrom);
  const toMs = Date.parse(certificate.validTo);
  const share = 0.5 + random.float() * 0.3;
  return Math.max(0, fromMs + (toMs - fromMs) * share - nowMs);
}

/** The role inside a certificate's subject. */
export function certificateRole(certificatePem: string): "manager" | "worker" {
  return /^OU=swarm-manager$/m.test(new X509Certificate(certificatePem).subject) ? "manager" : "worker";
}
