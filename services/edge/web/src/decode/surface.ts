// A canvas, on the page or off it, that the canvas paths paint on.
import type { SnapshotType } from "./engine.ts";

export type AnyCanvas = HTMLCanvasElement | OffscreenCanvas;

/** Gives the canvas the size of the pictures, so that a snapshot has it too. */
export function fit(canvas: AnyCanvas, width: number, height: number): void {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}

export function capture(canvas: AnyCanvas, type: SnapshotType): Promise<Blob | undefined> {
  if (!("toBlob" in canvas)) return canvas.convertToBlob({ type, quality: 0.92 });
  return new Promise((done) => canvas.toBlob((blob) => done(blob ?? undefined), type, 0.92));
}
