/** What the pickles of `torch.save` may name, and what it means here. Everything else is refused. */
import {
  describe,
  isKind,
  type PickleDict,
  type PickleObject,
  type PickleValue,
  type TorchTensor,
} from "./pickle-values.ts";
import type { StoredDType } from "./stored-dtypes.ts";

/** What storages of a type hold. Others, of quantised and complex numbers, are known but not read. */
export const TORCH_STORAGES: Readonly<Record<string, StoredDType>> = {
  "torch.DoubleStorage": "F64",
  "torch.FloatStorage": "F32",
  "torch.HalfStorage": "F16",
  "torch.BFloat16Storage": "BF16",
  "torch.LongStorage": "I64",
  "torch.IntStorage": "I32",
  "torch.ShortStorage": "I16",
  "torch.CharStorage": "I8",
  "torch.ByteStorage": "U8",
  "torch.BoolStorage": "BOOL",
};

const TORCH_DTYPES: Readonly<Record<string, StoredDType>> = {
  "torch.float64": "F64",
  "torch.float32": "F32",
  "torch.float16": "F16",
  "torch.bfloat16": "BF16",
  "torch.int64": "I64",
  "torch.int32": "I32",
  "torch.int16": "I16",
  "torch.int8": "I8",
  "torch.uint8": "U8",
  "torch.uint16": "U16",
  "torch.uint32": "U32",
  "torch.uint64": "U64",
  "torch.bool": "BOOL",
  "torch.float8_e4m3fn": "F8_E4M3",
  "torch.float8_e5m2": "F8_E5M2",
};

/** Storages of bytes, whose tensors say what these are. */
const UNTYPED: readonly string[] = ["torch.UntypedStorage", "torch.storage.UntypedStorage"];

/** What a call costs beyond an operation is told to `spend`: arguments can be shared, so that few bytes ask for much work. */
type Call = (args: readonly PickleValue[], spend: (operations: number) => void) => PickleValue;

/** `OrderedDict(pairs)`, with pairs from Python 2 alone. */
function dict([pairs]: readonly PickleValue[], spend: (operations: number) => void): PickleDict {
  const entries = new Map<PickleValue, PickleValue>();
  spend(isKind(pairs, "sequence") ? pairs.items.length : 0);
  if (isKind(pairs, "sequence"))
    for (const pair of pairs.items) {
      if (!isKind(pair, "sequence") || pair.items.length !== 2)
        throw new Error(`expected pairs for a dict, got ${describe(pair)}`);
      const [key = null, value = null] = pair.items;
      entries.set(key, value);
    }
  return { kind: "dict", entries };
}

/** The most axes that a tensor of torch has. */
const MOST_AXES = 64;

/** `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`; v1 lacks the last two, v3 has a dtype behind. */
function tensor(args: readonly PickleValue[]): TorchTensor {
  const [storage, offset, shape, strides] = args;
  if (!isKind(storage, "storage")) throw new Error(`a tensor's storage is ${describe(storage)}`);
  return {
    kind: "tensor",
    storage,
    dtype: UNTYPED.includes(storage.type) ? args.slice(0, 8).map(dtypeOf).find(Boolean) : storage.dtype,
    offset: typeof offset === "number" ? offset : Number.NaN,
    shape: numbers(shape),
    strides: numbers(strides),
  };
}

function dtypeOf(value: PickleValue): StoredDType | undefined {
  const path = isKind(value, "global") ? value.path : "";
  return Object.hasOwn(TORCH_DTYPES, path) ? TORCH_DTYPES[path] : undefined;
}

function numbers(value: PickleValue | undefined): number[] {
  if (!isKind(value, "sequence")) throw new Error(`a tensor's shape or strides are ${describe(value)}`);
  if (value.items.length > MOST_AXES) throw new Error(`a tensor of ${value.items.length} axes`);
  return value.items.map((item) => (typeof item === "number" ? item : Number.NaN));
}

/** What is given, whatever it is wrapped in: parameters, subclasses of tensors, typed lists. */
function first(args: readonly PickleValue[]): PickleValue {
  return args[0] ?? null;
}

/** Functions of torch and Python whose result is known without running them. */
const CALLS: Readonly<Record<string, Call>> = {
  "torch._utils._rebuild_tensor": tensor,
  "torch._utils._rebuild_tensor_v2": tensor,
  "torch._utils._rebuild_tensor_v3": tensor,
  "torch._utils._rebuild_parameter": first,
  "torch._utils._rebuild_parameter_with_state": first,
  "torch._tensor._rebuild_from_type_v2": ([, , args]) =>
    isKind(args, "sequence") && isKind(args.items[0], "storage") ? tensor(args.items) : null,
  "torch.nn.parameter.Parameter": first,
  "torch.jit._pickle.restore_type_tag": first,
  "torch.jit._pickle.build_intlist": first,
  "torch.jit._pickle.build_doublelist": first,
  "torch.jit._pickle.build_boollist": first,
  "torch.jit._pickle.build_tensorlist": first,
  "torch.Size": first,
  "collections.OrderedDict": dict,
  "collections.defaultdict": (_, spend) => dict([], spend),
  "collections.Counter": (_, spend) => dict([], spend),
  "builtins.set": first,
  "__builtin__.set": first,
};

/** Classes that training loops put beside the weights; kept as data, since nobody reads them. */
const RECORDS: readonly string[] = [
  "argparse.Namespace",
  "types.SimpleNamespace",
  "numpy.dtype",
  "numpy.ndarray",
  "numpy.core.multiarray.scalar",
  "numpy.core.multiarray._reconstruct",
  "numpy._core.multiarray.scalar",
  "numpy._core.multiarray._reconstruct",
  "_codecs.encode", // how bytes are written in protocol 2
  "torch.Tensor", // the class of buffers, beside how to rebuild them
  "torch.device",
  "torch.serialization._get_layout",
  "datetime.datetime",
  "datetime.timedelta",
  "pathlib.Path",
  "pathlib.PosixPath",
  "pathlib.PurePosixPath",
  "pathlib.WindowsPath",
];

/** Modules of TorchScript archives: their classes are made up by the tracer, and each is a record of its parts. */
export const SCRIPT_MODULES = "__torch__.";

/** Whether it is one of torch's types of storage, read or not. */
export function isStorageType(path: string): boolean {
  return /^torch\.(\w+\.)?\w+Storage$/.test(path);
}

/** Whether a pickle may name it. */
export function isKnownGlobal(path: string): boolean {
  return (
    [TORCH_DTYPES, CALLS].some((table) => Object.hasOwn(table, path)) ||
    RECORDS.includes(path) ||
    isStorageType(path) ||
    path.startsWith(SCRIPT_MODULES)
  );
}

/** What calling a known global gives; nothing is called but the functions of this file. */
export function callGlobal(
  path: string,
  args: readonly PickleValue[],
  spend: (operations: number) => void,
): PickleValue {
  const call = Object.hasOwn(CALLS, path) ? CALLS[path] : undefined;
  if (call) return call(args, spend);
  const made: PickleObject = { kind: "object", type: path, arguments: args, state: null };
  return made;
}
