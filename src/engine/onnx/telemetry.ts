/**
 * Before onnxruntime is loaded: its builds for Linux write a device id and a database of usage data below `~/.cache/Microsoft`, to be sent
 * to Microsoft, unless this is set. What the user has set stays. Native code does not see a worker's environment: it has to be the main thread's.
 */
export function leaveTelemetryOff(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= "1";
}
