/**
 * Layouts of the PJRT C API that the engine uses (`pjrt_c_api.h` of openxla/xla, API 0.81 to 0.116, 64-bit little-endian). Every function
 * is `PJRT_Error* f(Args*)`; every struct begins with its own size and an extension pointer, its fields in natural alignment. Functions
 * and fields are only ever appended, and a plugin accepts longer structs than its own (shorter ones it refuses: `Struct` has room).
 */

export type Kind = "ptr" | "size" | "i64" | "i32" | "f32" | "bool";
export type Fields = Readonly<Record<string, Kind>>;
export type Value<K extends Kind> = K extends "ptr" ? bigint : K extends "bool" ? boolean : number;
export type Values<F extends Fields> = { readonly [name in keyof F]: Value<F[name]> };

/** Bytes of each kind, which are its alignment too. */
export const SIZES = { ptr: 8, size: 8, i64: 8, i32: 4, f32: 4, bool: 1 } as const satisfies Record<Kind, number>;

/** Structs that stand by themselves. */
export const STRUCTS = {
  NamedValue: { name: "ptr", nameSize: "size", type: "i32", value: "ptr", valueSize: "size" },
  Program: { code: "ptr", codeSize: "size", format: "ptr", formatSize: "size" },
  ExecuteOptions: {
    sendCallbacks: "ptr",
    recvCallbacks: "ptr",
    sendOps: "size",
    recvOps: "size",
    launchId: "i32",
    /** i64 indices of arguments that this run may not donate. */
    kept: "ptr",
    keptCount: "size",
    context: "ptr",
    callLocation: "ptr",
    tasks: "size",
    taskIds: "ptr",
    incarnations: "ptr",
  },
  /** PJRT_Buffer_MemoryLayout with its tiled variant, which has a header of its own; type 0 says that it is that one. */
  TiledLayout: {
    innerSize: "size",
    innerExtension: "ptr",
    minorToMajor: "ptr",
    minorToMajorSize: "size",
    tileDims: "ptr",
    tileDimSizes: "ptr",
    tiles: "size",
    type: "i32",
  },
} as const satisfies Record<string, Fields>;

const text = { object: "ptr", text: "ptr", length: "size" } as const;

/** The functions: their places in the table, and the fields of their arguments and results. */
export const FUNCTIONS = {
  Error_Destroy: { slot: 0, fields: { error: "ptr" } },
  Error_Message: { slot: 1, fields: { error: "ptr", message: "ptr", length: "size" } },
  Error_GetCode: { slot: 2, fields: { error: "ptr", code: "i32" } },
  Plugin_Initialize: { slot: 3, fields: {} },
  Plugin_Attributes: { slot: 4, fields: { attributes: "ptr", count: "size" } },
  Event_Destroy: { slot: 5, fields: { event: "ptr" } },
  Event_IsReady: { slot: 6, fields: { event: "ptr", ready: "bool" } },
  Event_Error: { slot: 7, fields: { event: "ptr" } },
  Event_Await: { slot: 8, fields: { event: "ptr" } },
  Client_Create: {
    slot: 10,
    fields: {
      options: "ptr",
      optionCount: "size",
      get: "ptr",
      getArgument: "ptr",
      put: "ptr",
      putArgument: "ptr",
      client: "ptr",
      tryGet: "ptr",
      tryGetArgument: "ptr",
    },
  },
  Client_Destroy: { slot: 11, fields: { client: "ptr" } },
  Client_PlatformName: { slot: 12, fields: text },
  Client_ProcessIndex: { slot: 13, fields: { client: "ptr", index: "i32" } },
  Client_PlatformVersion: { slot: 14, fields: text },
  Client_Devices: { slot: 15, fields: { client: "ptr", devices: "ptr", count: "size" } },
  Client_AddressableDevices: { slot: 16, fields: { client: "ptr", devices: "ptr", count: "size" } },
  Client_Compile: {
    slot: 20,
    fields: { client: "ptr", program: "ptr", options: "ptr", optionsSize: "size", executable: "ptr" },
  },
  Client_BufferFromHostBuffer: {
    slot: 22,
    fields: {
      client: "ptr",
      data: "ptr",
      type: "i32",
      dims: "ptr",
      rank: "size",
      byteStrides: "ptr",
      byteStrideCount: "size",
      semantics: "i32",
      device: "ptr",
      memory: "ptr",
      layout: "ptr",
      done: "ptr",
      buffer: "ptr",
    },
  },
  DeviceDescription_Id: { slot: 23, fields: { description: "ptr", id: "i32" } },
  DeviceDescription_ProcessIndex: { slot: 24, fields: { description: "ptr", index: "i32" } },
  DeviceDescription_Kind: { slot: 26, fields: text },
  DeviceDescription_ToString: { slot: 28, fields: text },
  Device_GetDescription: { slot: 29, fields: { device: "ptr", description: "ptr" } },
  Device_MemoryStats: {
    slot: 34,
    fields: {
      device: "ptr",
      inUse: "i64",
      peak: "i64",
      hasPeak: "bool",
      allocations: "i64",
      hasAllocations: "bool",
      largest: "i64",
      hasLargest: "bool",
      limit: "i64",
      hasLimit: "bool",
      reserved: "i64",
      hasReserved: "bool",
      peakReserved: "i64",
      hasPeakReserved: "bool",
      reservable: "i64",
      hasReservable: "bool",
      largestFree: "i64",
      hasLargestFree: "bool",
      pool: "i64",
      hasPool: "bool",
      peakPool: "i64",
      hasPeakPool: "bool",
    },
  },
  Executable_Destroy: { slot: 40, fields: { executable: "ptr" } },
  Executable_NumOutputs: { slot: 44, fields: { executable: "ptr", count: "size" } },
  Executable_OptimizedProgram: { slot: 48, fields: { executable: "ptr", program: "ptr" } },
  /** `owner` backs the bytes and is freed by the function at `deleter`. */
  Executable_Serialize: {
    slot: 49,
    fields: { executable: "ptr", bytes: "ptr", length: "size", owner: "ptr", deleter: "ptr" },
  },
  LoadedExecutable_Destroy: { slot: 50, fields: { executable: "ptr" } },
  LoadedExecutable_GetExecutable: { slot: 51, fields: { loaded: "ptr", executable: "ptr" } },
  LoadedExecutable_Execute: {
    slot: 55,
    fields: {
      executable: "ptr",
      options: "ptr",
      argumentLists: "ptr",
      devices: "size",
      arguments: "size",
      outputLists: "ptr",
      completeEvents: "ptr",
      device: "ptr",
    },
  },
  Executable_DeserializeAndLoad: {
    slot: 56,
    fields: { client: "ptr", bytes: "ptr", length: "size", executable: "ptr", options: "ptr", optionsSize: "size" },
  },
  Buffer_Destroy: { slot: 58, fields: { buffer: "ptr" } },
  Buffer_IsDeleted: { slot: 68, fields: { buffer: "ptr", deleted: "bool" } },
  Buffer_ToHostBuffer: {
    slot: 70,
    fields: { buffer: "ptr", layout: "ptr", data: "ptr", size: "size", event: "ptr" },
  },
  Buffer_ReadyEvent: { slot: 72, fields: { buffer: "ptr", event: "ptr" } },
} as const satisfies Record<string, { readonly slot: number; readonly fields: Fields }>;

export type FunctionName = keyof typeof FUNCTIONS;
export type FieldsOf<F extends FunctionName> = (typeof FUNCTIONS)[F]["fields"];

/** Where the table of functions begins in PJRT_Api, and where its version stands. */
export const API = { bytes: 0, major: 32, minor: 36, table: 40 } as const;

export const ERROR_CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** PJRT_NamedValue_Type. */
export const NAMED = { string: 0, int64: 1, int64List: 2, float: 3, bool: 4 } as const;
