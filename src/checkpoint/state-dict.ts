/** Finds the weights in what a PyTorch file holds: a state dict, one inside a training checkpoint, a TorchScript module. */
import {
  describe,
  isKind,
  type PickleDict,
  type PickleObject,
  type PickleValue,
  type TorchTensor,
} from "./pickle-values.ts";
import { quote } from "./quote.ts";
import { SCRIPT_MODULES } from "./torch-globals.ts";

export interface StateDict {
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  /** The keys under which it stands in a training checkpoint; empty at the top. */
  readonly path: readonly string[];
  /** Classes of a TorchScript module's parts. */
  readonly classes: ReadonlySet<string>;
}

/** Where training loops put the weights, the best first; what else they keep (optimisers, averages) is no model to load. */
const KEYS = ["state_dict", "model_state_dict", "model", "module", "weights", "net", "params", "checkpoint", "state"];
/** How deep a training checkpoint is searched, and a module tree read. */
const DEEPEST_DICT = 3;
const DEEPEST_MODULE = 32;
const MOST_TENSORS = 100_000;
const MOST_MODULES = 100_000;

/** @throws one line if there are no tensors by name */
export function findStateDict(root: PickleValue): StateDict {
  if (isKind(root, "object") && root.type.startsWith(SCRIPT_MODULES)) return scriptModule(root);
  if (!isKind(root, "dict")) throw new Error(`expected a state dict, got ${describe(root)}`);
  const found = search(root, [], DEEPEST_DICT);
  if (!found) throw new Error(`a dict without tensors, no state dict: its keys are ${keysOf(root)}`);
  return found;
}

/** The first dict with tensors under a known key, else the dict itself: a best accuracy or a random state may stand beside the weights. */
function search(dict: PickleDict, path: readonly string[], depth: number): StateDict | undefined {
  for (const key of depth === 0 ? [] : KEYS) {
    const value = dict.entries.get(key);
    const found = isKind(value, "dict") ? search(value, [...path, key], depth - 1) : undefined;
    if (found) return found;
  }
  const tensors = new Map<string, TorchTensor>();
  for (const [name, value] of dict.entries)
    if (typeof name === "string" && isKind(value, "tensor")) tensors.set(name, value);
  if (tensors.size > MOST_TENSORS) throw new Error(`more than ${MOST_TENSORS} tensors`);
  return tensors.size > 0 ? { tensors, path, classes: new Set() } : undefined;
}

const keysOf = ({ entries }: PickleDict): string => quote([...entries.keys()].filter((key) => typeof key === "string"));

/** The parameters and buffers of a tree of modules, named as `state_dict()` names them. */
function scriptModule(root: PickleObject): StateDict {
  const tensors = new Map<string, TorchTensor>();
  const classes = new Set<string>();
  let modules = 0;
  const visit = (module: PickleObject, prefix: string, depth: number): void => {
    if (depth > DEEPEST_MODULE) throw new Error(`modules more than ${DEEPEST_MODULE} deep`);
    // Parts can be shared, so that a small tree names more than time and memory suffice for.
    modules += 1;
    if (modules > MOST_MODULES) throw new Error(`more than ${MOST_MODULES} modules`);
    classes.add(module.type.slice(module.type.lastIndexOf(".") + 1));
    if (!isKind(module.state, "dict")) return;
    for (const [name, value] of module.state.entries) {
      if (typeof name !== "string") continue;
      if (isKind(value, "tensor")) tensors.set(prefix + name, value);
      else if (isKind(value, "object")) visit(value, `${prefix}${name}.`, depth + 1);
      if (tensors.size > MOST_TENSORS) throw new Error(`more than ${MOST_TENSORS} tensors`);
    }
  };
  visit(root, "", 0);
  return { tensors, path: [], classes };
}
