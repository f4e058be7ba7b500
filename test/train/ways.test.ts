import { ENGINES } from "../engine/conformance/engines.ts";
import { testWays } from "./ways.ts";

testWays(ENGINES);
