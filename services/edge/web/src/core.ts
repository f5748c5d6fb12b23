// What the page and its decoding worker share: one file, loaded once. build.mjs points the imports of these
// modules in player.js and worker.js here, so every name they use has to be listed.
export { now } from "./clock.ts";
export { ErrorBudget, Pipeline } from "./decode/engine.ts";
export { JsmpegDecoder } from "./decode/jsmpeg.ts";
export { capture } from "./decode/surface.ts";
export { WebCodecsDecoder } from "./decode/webcodecs.ts";
export { wrapDifference } from "./ts/pes.ts";
export { probeKind, probePts } from "./ts/probe.ts";
