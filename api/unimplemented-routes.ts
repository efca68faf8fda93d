/**
 * Endpoints of the Docker Engine API that exist and that Skein does not serve yet: each answers 501 and its
 * own name, never 404 and never silence. Pure.
 * Whatever is asked for and is neither here nor served answers 501 with its path as well.
 */
export const UNIMPLEMENTED: readonly (readonly [method: string, path: string])[] = [
  ["GET", "/images/:name/attestations"],
  ["POST", "/session"],
  ["POST", "/grpc"],
  ["PUT", "/volumes/:name"],
  ["GET", "/plugins/privileges"],
  ["POST", "/plugins/pull"],
  ["POST", "/plugins/create"],
];
