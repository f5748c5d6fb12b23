// A TCP proxy in front of an edge that understands just enough of WebSocket to be a bad link: it can lose TS
// packets out of the binary messages, hand them on slowly, or cut everything.
import net from "node:net";

const VIDEO_PID = 0x100; // ffmpeg's first elementary stream
const TS = 188;

/** Splits a server's bytes into its (unmasked) WebSocket frames. */
class Frames {
  #buffer = Buffer.alloc(0);

  push(bytes) {
    this.#buffer = Buffer.concat([this.#buffer, bytes]);
    const frames = [];
    for (;;) {
      const buffer = this.#buffer;
      if (buffer.length < 2) return frames;
      let length = buffer[1] & 127;
      let header = 2;
      if (length === 126) {
        if (buffer.length < 4) return frames;
        length = buffer.readUInt16BE(2);
        header = 4;
      } else if (length === 127) {
        if (buffer.length < 10) return frames;
        length = Number(buffer.readBigUInt64BE(2));
        header = 10;
      }
      if (buffer.length < header + length) return frames;
      frames.push({ opcode: buffer[0] & 15, raw: buffer.subarray(0, header + length), payload: buffer.subarray(header, header + length) });
      this.#buffer = buffer.subarray(header + length);
    }
  }
}

function binaryFrame(payload) {
  const { length } = payload;
  const header = length < 126 ? Buffer.from([0x82, length]) : Buffer.alloc(length < 65536 ? 4 : 10);
  if (length >= 126) {
    header[0] = 0x82;
    header[1] = length < 65536 ? 126 : 127;
    if (length < 65536) header.writeUInt16BE(length, 2);
    else header.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([header, payload]);
}

export class Proxy {
  /** Remove one of so many video packets; 0 for none. */
  loseOneOf = 0;
  /** Bytes a second from the server; 0 for no limit. */
  bytesPerSecond = 0;
  /** Refuse and cut everything. */
  cut = false;
  lost = 0;
  #sockets = new Set();
  #videoPackets = 0;

  static async open(system, edge) {
    const proxy = new Proxy();
    const server = net.createServer((client) => proxy.#connection(client, edge.port));
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    system.cleanup.add(() => {
      proxy.drop();
      server.close();
    });
    proxy.port = server.address().port;
    proxy.url = `http://127.0.0.1:${proxy.port}`;
    return proxy;
  }

  /** Cuts all connections there are. */
  drop() {
    for (const socket of this.#sockets) socket.destroy();
  }

  #connection(client, port) {
    if (this.cut) return client.destroy();
    const server = net.connect(port, "127.0.0.1");
    const ends = [client, server];
    for (const socket of ends) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        for (const other of ends) other.destroy();
      });
    }
    client.pipe(server);
    let frames;
    let head = Buffer.alloc(0);
    server.on("data", (bytes) => {
      if (frames) return this.#media(client, server, frames.push(bytes));
      head = Buffer.concat([head, bytes]);
      const end = head.indexOf("\r\n\r\n");
      if (end >= 0 && head.subarray(0, 12).toString() === "HTTP/1.1 101") {
        frames = new Frames();
        client.write(head.subarray(0, end + 4));
        this.#media(client, server, frames.push(head.subarray(end + 4)));
      } else {
        client.write(bytes);
        if (end >= 0) head = Buffer.alloc(0);
      }
    });
  }

  #media(client, server, frames) {
    let bytes = 0;
    for (const { opcode, raw, payload } of frames) {
      const out = opcode === 2 && this.loseOneOf ? binaryFrame(this.#thin(payload)) : raw;
      bytes += out.length;
      client.write(out);
    }
    if (this.bytesPerSecond && bytes) {
      server.pause();
      setTimeout(() => server.resume(), (bytes / this.bytesPerSecond) * 1000);
    }
  }

  #thin(payload) {
    const kept = [];
    for (let at = 0; at + TS <= payload.length; at += TS) {
      const packet = payload.subarray(at, at + TS);
      const video = (((packet[1] & 31) << 8) | packet[2]) === VIDEO_PID;
      if (video && ++this.#videoPackets % this.loseOneOf === 0) this.lost += 1;
      else kept.push(packet);
    }
    return Buffer.concat(kept);
  }
}
