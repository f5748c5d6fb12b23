// When to try again: doubling with a cap, jittered so that the viewers of a lost edge do not return as one.

export interface BackoffOptions {
  firstMs: number;
  capMs: number;
  random: () => number;
}

export class Backoff {
  private attempt = 0;

  constructor(private readonly options: BackoffOptions) {}

  /** Between half and all of the step, never below `atLeastMs`. */
  next(atLeastMs = 0): number {
    const { firstMs, capMs, random } = this.options;
    const step = Math.min(capMs, firstMs * 2 ** this.attempt);
    this.attempt = Math.min(this.attempt + 1, 16);
    const base = Math.max(step, atLeastMs);
    return atLeastMs > step ? base * (1 + random() / 4) : base * (0.5 + random() / 2);
  }

  /** After a healthy connection. */
  reset(): void {
    this.attempt = 0;
  }
}
