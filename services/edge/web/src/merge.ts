// Which messages of which socket go on to the decoder, in order, none twice: by (run, seq). Pure.
import type { Media } from "./feed.ts";
import type { Position } from "./protocol.ts";

export interface Accepted extends Media {
  /** It does not continue the message before it: decoders wait for a key picture. */
  restart: boolean;
}

/** Bytes held of a new socket that is ahead of the old one. */
const MAX_HELD = 8 << 20;

export class Merge {
  private last: Position | undefined;
  private any = false;
  private held: Media[] = [];
  private heldBytes = 0;

  /** The decoder is new: replayed pictures are wanted again. */
  forget(): void {
    this.last = undefined;
    this.any = false;
    this.dropHeld();
  }

  /** A message of the only or the old socket. */
  push(media: Media): Accepted | undefined {
    const { position } = media;
    if (!position) {
      const restart = !this.any || this.last !== undefined;
      this.any = true;
      this.last = undefined;
      return { ...media, restart };
    }
    const last = this.last;
    if (last && last.run === position.run && position.seq <= last.seq) return undefined;
    const restart = !last || last.run !== position.run || position.seq !== last.seq + 1;
    this.last = position;
    this.any = true;
    return { ...media, restart };
  }

  /**
   * A message of the second socket while the first still plays: what is known is dropped, what the first has
   * not brought yet is held. True when the second can take over: call `takeHeld`.
   */
  pushSecond(media: Media): boolean {
    if (!this.isNew(media)) return this.canSwitch();
    this.held.push(media);
    this.heldBytes += media.data.byteLength;
    if (this.heldBytes > MAX_HELD) this.heldBytes -= this.held.shift()!.data.byteLength;
    return this.canSwitch();
  }

  /** True when what is held continues what was accepted, or belongs to a newer run. */
  canSwitch(): boolean {
    while (this.held[0] && !this.isNew(this.held[0])) this.heldBytes -= this.held.shift()!.data.byteLength;
    const first = this.held[0];
    if (!first) return false;
    const { last } = this;
    if (!last || !first.position) return true;
    return first.position.run === last.run ? first.position.seq === last.seq + 1 : first.position.run > last.run;
  }

  /** What the second socket brought, for when it becomes the only one. */
  takeHeld(): Accepted[] {
    const held = this.held;
    this.dropHeld();
    return held.map((media) => this.push(media)).filter((media) => media !== undefined);
  }

  dropHeld(): void {
    this.held = [];
    this.heldBytes = 0;
  }

  private isNew({ position }: Media): boolean {
    const { last } = this;
    return !last || !position || position.run !== last.run || position.seq > last.seq;
  }
}
