// Style of the element's shadow tree, as a constructed sheet: content security policies allow it.

const CSS = `
:host{display:block;position:relative;aspect-ratio:4/3;background:#0b0e11;color:#e9eef2;overflow:hidden;
 font:13px/1.4 system-ui,sans-serif;
 --accent:#5cc2b0;--warn:#e7b44c;--bad:#ef7b6c;container-type:inline-size}
:host([hidden]){display:none}
*{box-sizing:border-box}
.stage,.stage>*{position:absolute;inset:0;width:100%;height:100%}
.stage>*{object-fit:contain}
:host([fit=cover]) .stage>*{object-fit:cover}
.dim .stage>*{opacity:.32;filter:grayscale(.8);transition:opacity .2s,filter .2s}
.badge{position:absolute;left:8px;top:8px;display:flex;align-items:center;gap:6px;max-width:calc(100% - 16px);
 padding:3px 9px 3px 8px;border-radius:99px;background:rgb(9 12 15/.78);font-weight:500;font-size:12px;pointer-events:none}
.badge .word{white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.dot{flex:none;width:8px;height:8px;border-radius:50%;background:#8b98a3}
[data-tone=good] .dot{background:var(--accent)}
[data-tone=warn] .dot{background:var(--warn)}
[data-tone=bad] .dot{background:var(--bad)}
[data-tone=busy] .dot{background:var(--warn);animation:pulse 1.2s ease-in-out infinite}
@keyframes pulse{50%{opacity:.25}}
.delay{color:#b9c5ce;font-variant-numeric:tabular-nums;white-space:nowrap}
.hint{position:absolute;left:8px;top:38px;max-width:min(44ch,calc(100% - 16px));padding:4px 9px;border-radius:7px;background:rgb(9 12 15/.78);font-size:12px;pointer-events:none}
.hint[hidden]{display:none}
.panel{position:absolute;inset:0;display:flex;flex-direction:column;align-items:center;justify-content:center;gap:6px;
 padding:40px 8% 44px;text-align:center;pointer-events:none}
.panel[hidden]{display:none}
.panel strong{font-size:16px;font-weight:600;text-wrap:balance}
.panel p{margin:0;max-width:46ch;color:#d5dde3;text-wrap:pretty}
.panel button,.panel a{pointer-events:auto;margin-top:6px}
@container (max-width:300px){.panel{padding:30px 10px 34px}.panel strong{font-size:14px}.panel p{font-size:12px}}
button,.panel a{font:inherit;color:inherit;border:0;border-radius:6px;background:none;cursor:pointer}
.panel button,.panel a{padding:6px 14px;background:#e9eef2;color:#12171c;font-weight:600;text-decoration:none}
.bar{position:absolute;right:6px;bottom:6px;display:flex;gap:2px;padding:3px;border-radius:9px;background:rgb(9 12 15/.78);
 opacity:0;transition:opacity .15s}
:host(:hover) .bar,:host(:focus-within) .bar,.bar.keep{opacity:1}
:host([controls=none]) .bar{display:none}
@media (hover:none){.bar{opacity:1}}
.bar button{width:32px;height:32px;padding:6px;display:grid;place-items:center}
.bar button:hover,.bar button[aria-pressed=true]{background:rgb(255 255 255/.16)}
button:focus-visible,a:focus-visible{outline:2px solid #fff;outline-offset:2px}
svg{width:20px;height:20px;fill:none;stroke:currentColor;stroke-width:1.7;stroke-linecap:round;stroke-linejoin:round}
.stats{position:absolute;left:8px;top:40px;bottom:8px;overflow:auto;max-width:calc(100% - 16px);height:fit-content;max-height:calc(100% - 48px);
 padding:8px 12px;border-radius:9px;background:rgb(9 12 15/.86);font-size:12px}
.stats[hidden]{display:none}
.stats table{border-spacing:0}
.stats th{padding:1px 14px 1px 0;font-weight:400;text-align:left;color:#b3bfc8;white-space:nowrap}
.stats td{padding:1px 0;font-variant-numeric:tabular-nums;white-space:nowrap}
.stats p{margin:6px 0 0;max-width:38ch;color:#b3bfc8;font-size:11px}
.said{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
:host(:fullscreen){width:100vw;height:100vh;aspect-ratio:auto!important}
@media (prefers-reduced-motion:reduce){*{animation:none!important;transition:none!important}}
`;

let sheet: CSSStyleSheet | undefined;

export function styleSheet(): CSSStyleSheet {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  return sheet;
}
