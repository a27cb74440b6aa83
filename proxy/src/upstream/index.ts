/** How the database server is reached. */
export { cancelUpstream, connectUpstream, type UpstreamAddress } from "./connect.ts";
