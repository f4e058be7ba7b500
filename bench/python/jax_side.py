"""JAX's sides of bench/training.ts."""

import jax
import jaxlib
from jax_model import Trainer


class JaxSide:
    """`name` is jax or jax-bf16."""

    cuts_texts = True

    def __init__(self, job, name):
        dtype = "bfloat16" if name == "jax-bf16" else "float32"
        self.trainer = Trainer(job["config"], job["adam"], job["learningRate"], dtype)
        self.parameters = self.trainer.parameters

    @property
    def compile_seconds(self):
        return self.trainer.compile_seconds

    def inputs(self, pixels, tokens):
        return jax.device_put(pixels), jax.device_put(tokens)

    def step(self, pictures, tokens):
        return float(self.trainer.step(pictures, tokens))

    def versions(self):
        return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}
