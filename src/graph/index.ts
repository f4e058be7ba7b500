export * from "./build.ts";
export { causalMask, decompose, isComposite } from "./composites.ts";
export * from "./dtype.ts";
export { gradients, type PullbackOptions, pullback } from "./gradients.ts";
export type { Graph } from "./graph.ts";
export { toHalves } from "./half-floats.ts";
export {
  axisSize,
  boxRuns,
  checkMesh,
  commonPiece,
  coordinate,
  cut,
  distinctPieces,
  isWithin,
  MESH_AXES,
  type Mesh,
  type MeshAxis,
  meshSize,
  type Piece,
  parseMesh,
  partsOf,
  paste,
  pieceOf,
  type Sharding,
  showMesh,
  WHOLE,
  wholePiece,
} from "./mesh.ts";
export { inOrder } from "./order.ts";
export { plainAttention } from "./plain-attention.ts";
export { print } from "./print.ts";
export {
  type FreeSize,
  isResizable,
  type Multiple,
  multiple,
  type ResizableGraph,
  resize,
  sizesOf,
  traceResizable,
} from "./resize.ts";
export { inferAll } from "./rules.ts";
export {
  type CompositeAttrs,
  type CompositeName,
  type Direction,
  made,
  type Node,
  type OpAttrs,
  type OpName,
  type PrimitiveName,
  sameShape,
  show,
  type Tensor,
  type TensorType,
} from "./tensor.ts";
export { expand, trace } from "./trace.ts";
export { verify } from "./verify.ts";
