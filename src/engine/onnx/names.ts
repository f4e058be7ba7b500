/** The ONNX names of a program's inputs and outputs: apart, since a state entry is both. */
export const inputName = (name: string): string => `in:${name}`;
export const outputName = (name: string): string => `out:${name}`;
