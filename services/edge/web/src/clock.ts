/** Unix milliseconds that do not jump when the wall clock is set; comparable between a page and its workers. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}
