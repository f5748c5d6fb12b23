// The relay that the documentation of `ws` leads to: relay.mjs PORT FEED-PORT.
import { connect } from "node:net";
import { WebSocketServer } from "ws";

const [port, feedPort] = process.argv.slice(2).map(Number);
const server = new WebSocketServer({ host: "127.0.0.1", port, backlog: 4096 });
let pending = Buffer.alloc(0);
connect(feedPort, "127.0.0.1")
  .on("data", (data) => {
    pending = pending.length ? Buffer.concat([pending, data]) : data;
    while (pending.length >= 4 && pending.length >= 4 + pending.readUInt32BE(0)) {
      const end = 4 + pending.readUInt32BE(0);
      const message = pending.subarray(4, end);
      pending = pending.subarray(end);
      for (const client of server.clients) client.send(message);
    }
  })
  .on("close", () => process.exit());
