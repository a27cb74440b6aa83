/** How the database servers are reached, and which. */
export { hostPort, type UpstreamAddress } from "./address.ts";

export type { BreakerSettings } from "./breaker.ts";
export { cancelUpstream, connectUpstream } from "./connect.ts";
export { takesSessions } from "./first-answer.ts";
export type { Host } from "./host.ts";
export { UpstreamMetrics } from "./metrics.ts";
export { type Again, isGoingAway, ReadRetry } from "./read-retry.ts";
export { Retries, type RetrySettings } from "./retries.ts";
export { ROLE_QUESTION, RoleSift, readRole } from "./role.ts";
export { fitOf, HOT_STANDBY, READ_ONLY, type Reported, type Target } from "./target.ts";
export { type Enter, Upstreams, unfit } from "./upstreams.ts";
export { parseUpstreamUrl, type Upstream } from "./url.ts";
