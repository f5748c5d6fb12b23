export { MPEG1, WebGLRenderer, CanvasRenderer } from "jsmpeg-parts";
