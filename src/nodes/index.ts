export { joinNodes, type NodeGroup, parseAddress } from "./group.ts";
export type { NodesOptions } from "./protocol.ts";
export { TOKEN_VARIABLE, tokenFrom } from "./token.ts";
