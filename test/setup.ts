/** Runs before each file of tests, so that they find the same wherever and whenever they run. */
import fc from "fast-check";

/** Another seed tries other cases: `SEED=7 npx vitest run test/graph`. A failure prints the seed and the smallest case. */
export const SEED = Number(process.env.SEED ?? 1);
fc.configureGlobal({ seed: SEED });

/** What a user may have set for the programs under test. */
const SETTINGS =
  /^(CLIP_TS_DATA|FORCE_COLOR|HF_\w+|HUGGINGFACE_\w+|TRANSFORMERS_OFFLINE|PIP_\w+|(https?|all|no)_proxy)$/i;
for (const name of Object.keys(process.env)) if (SETTINGS.test(name)) delete process.env[name];
