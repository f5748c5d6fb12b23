// The decoding worker: one for a page, all its players in it. Each message names the engine it is for.
import { Pipeline } from "./decode/engine.ts";
import { JsmpegDecoder } from "./decode/jsmpeg.ts";
import { WebCodecsDecoder } from "./decode/webcodecs.ts";
import type { FromWorker, ToWorker } from "./decode/worker-host.ts";

const scope = globalThis as unknown as {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
};
const engines = new Map<number, Pipeline>();

scope.onmessage = ({ data: message }) => {
  const { id } = message;
  switch (message.op) {
    case "open": {
      const Decoder = message.path === "jsmpeg" ? JsmpegDecoder : WebCodecsDecoder;
      const tell = (event: FromWorker["event"]): void => scope.postMessage({ id, event });
      engines.set(
        id,
        new Pipeline(
          message.path,
          {
            painted: (picture) => tell({ name: "painted", picture }),
            counts: (counts) => tell({ name: "counts", counts }),
            stream: (info) => tell({ name: "stream", info }),
            failed: (failure) => tell({ name: "failed", failure }),
          },
          (events) => new Decoder(message.canvas, events),
        ),
      );
      break;
    }
    case "push":
      engines.get(id)?.push(message.data, message.tag, message.restart);
      break;
    case "visible":
      engines.get(id)?.setVisible(message.visible);
      break;
    case "snapshot": {
      const answer = (blob: Blob | undefined): void =>
        scope.postMessage({ id, event: { name: "snapshot", request: message.request, blob } });
      const taken = engines.get(id)?.snapshot(message.type) ?? Promise.resolve(undefined);
      taken.then(answer, () => answer(undefined));
      break;
    }
    case "close":
      engines.get(id)?.close();
      engines.delete(id);
  }
};
