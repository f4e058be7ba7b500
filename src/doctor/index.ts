export { type Diagnosis, diagnose, type Part } from "./doctor.ts";
