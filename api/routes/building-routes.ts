/**
 * Building and committing, where the node can. Pure.
 */
import type { EngineBackend } from "../ports.js";
import { buildRoutes } from "./build-routes.js";
import { commitRoutes } from "./commit-routes.js";
import type { Route } from "./route.js";

export function buildingRoutes(
  { building, clock }: EngineBackend,
  onPruned: (reclaimedBytes: number) => void,
): Route[] {
  if (building === undefined) return [];
  const { builder } = building;
  const applyChanges = builder.applyChanges?.bind(builder);
  return [
    ...buildRoutes({ builder, nowMs: () => clock.nowMs(), onPruned }),
    ...(applyChanges === undefined ? [] : commitRoutes({ ...building, applyChanges })),
  ];
}
