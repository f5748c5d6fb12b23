// Elements by function call: no markup strings, nothing inline that a content security policy would refuse.

type Attributes = Record<string, string | boolean | undefined>;
type Child = Node | string | undefined;

export function h<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (typeof value === "string") element.setAttribute(name, value);
  }
  for (const child of children) if (child !== undefined) element.append(child);
  return element;
}

/** 24-unit line icons. */
const ICONS = {
  brand: "M2.500 18a9.500 9.500 0 0 1 19 0zM12 18V8.500M12 18 5.500 11.500M12 18l6.500-6.500",
  snapshot: "M4 8h3l2-3h6l2 3h3v11H4zM12 16.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7z",
  pip: "M3 5h18v14H3zM12 12h6.500v4.500H12z",
  fullscreen: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  stats: "M4 20V4M4 20h16M8 16v-4M12 16V8M16 16v-6",
  power: "M12 4v8M7 7a7 7 0 1 0 10 0",
  back: "M14 6l-6 6 6 6",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
} as const;

export type Icon = keyof typeof ICONS;

export function icon(name: Icon): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}
