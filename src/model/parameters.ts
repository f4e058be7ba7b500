import type { Tensor } from "../graph/index.ts";

/** Parameters and running statistics of a model on the graph, by published name. */
export type Params = Readonly<Record<string, Tensor>>;

/** The parameter of a name, relative to some place in the model. */
export type Lookup = (name: string) => Tensor;

/** Looks parameters up by name; throws, naming it, where there is none. */
export function lookup(params: Params, prefix = ""): Lookup {
  return (name) => {
    const parameter = params[prefix + name];
    if (!parameter) throw new Error(`model: no parameter ${prefix}${name}`);
    return parameter;
  };
}

/** Looks up below a place: `under(p, "attn")("out_proj.bias")` is `p("attn.out_proj.bias")`. */
export function under(p: Lookup, place: string): Lookup {
  return (name) => p(`${place}.${name}`);
}
