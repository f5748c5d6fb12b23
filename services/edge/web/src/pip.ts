// Picture in picture: a <video> by the browser's own; a canvas moves into a document picture-in-picture
// window where there is one, and is captured into a <video> where there is none.

interface DocumentPip {
  requestWindow(options: { width: number; height: number }): Promise<Window>;
  window: Window | null;
}

const helpers = new WeakMap<HTMLElement, HTMLVideoElement>();
const windows = new WeakMap<HTMLElement, Window>();

export async function togglePip(stage: HTMLElement): Promise<void> {
  if (leavePip(stage)) return;
  const surface = stage.firstElementChild;
  if (surface instanceof HTMLVideoElement) {
    await surface.requestPictureInPicture();
  } else if (surface instanceof HTMLCanvasElement) {
    const api = (window as { documentPictureInPicture?: DocumentPip }).documentPictureInPicture;
    if (api) await moveOut(stage, surface, api);
    else await capture(stage, surface);
  }
}

/** True when something of this stage was in picture in picture. */
export function leavePip(stage: HTMLElement): boolean {
  const own = windows.get(stage);
  if (own) {
    own.close();
    return true;
  }
  const playing = document.pictureInPictureElement ?? (stage.getRootNode() as ShadowRoot).pictureInPictureElement;
  if (!playing || (playing !== stage.firstElementChild && playing !== helpers.get(stage) && !stage.contains(playing))) return false;
  void document.exitPictureInPicture();
  return true;
}

async function moveOut(stage: HTMLElement, canvas: HTMLCanvasElement, api: DocumentPip): Promise<void> {
  const pip = await api.requestWindow({ width: 480, height: Math.round((480 * canvas.height) / canvas.width) });
  windows.set(stage, pip);
  const { style } = pip.document.body;
  style.margin = "0";
  style.background = "#000";
  style.height = "100vh";
  stage.style.width = "100%";
  stage.style.height = "100%";
  const home = stage.parentNode;
  const next = stage.nextSibling;
  // Pictures are presented on the stage, so it is the stage that moves, with its canvas' look given inline.
  const sheet = pip.document.createElement("link");
  sheet.rel = "stylesheet";
  sheet.href = new URL("./style.css", import.meta.url).href;
  pip.document.head.append(sheet);
  pip.document.body.className = "pip";
  pip.document.body.append(stage);
  pip.addEventListener("pagehide", () => {
    windows.delete(stage);
    stage.style.width = "";
    stage.style.height = "";
    home?.insertBefore(stage, next);
  });
}

async function capture(stage: HTMLElement, canvas: HTMLCanvasElement): Promise<void> {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = canvas.captureStream();
  helpers.set(stage, video);
  await video.play();
  await video.requestPictureInPicture();
  video.addEventListener("leavepictureinpicture", () => {
    video.srcObject = null;
    helpers.delete(stage);
  });
}
