import type { Node } from "../../../graph/index.ts";
import type { Context } from "./context.ts";
import { list, signature, type Value } from "./writer.ts";

export function lowerConvolution(
  { write, precision }: Context,
  { shape, attrs: { stride, padding } }: Node<"convolution">,
  x: Value,
  kernel: Value,
): Value {
  const element = precision === "bfloat16" && x.element === "f32" ? "bf16" : x.element;
  const factors = [write.convert(x, element), write.convert(kernel, element)] as const;
  const type = { shape, element };
  const window = `{stride = [${list(stride)}], pad = [${list(padding.map((pair) => `[${list(pair)}]`))}]}`;
  const names = factors.map(({ name }) => name).join(", ");
  const result = write.value(
    type,
    `stablehlo.convolution(${names}) dim_numbers = [b, 0, 1, f]x[o, i, 0, 1]->[b, 0, 1, f], window = ${window} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : ${signature(factors, type)}`,
  );
  return write.convert(result, x.element);
}
