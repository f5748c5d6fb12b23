// The viewer's own choices, kept in the browser: language and theme.
import { browserLang, matchLang, type Lang } from "./player.js";

export type Theme = "auto" | "dark" | "light";

export function language(): Lang {
  return matchLang(read("fanlight.lang")) ?? browserLang();
}

export function setLanguage(lang: Lang): void {
  write("fanlight.lang", lang);
  applyLanguage();
}

export function theme(): Theme {
  const stored = read("fanlight.theme");
  return stored === "dark" || stored === "light" ? stored : "auto";
}

export function setTheme(value: Theme): void {
  write("fanlight.theme", value);
  applyTheme();
}

export function applyLanguage(): void {
  document.documentElement.lang = language();
  document.dispatchEvent(new CustomEvent("fanlight-language"));
}

export function applyTheme(): void {
  const value = theme();
  if (value === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = value;
}

/** Storage may be refused altogether. */
function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // The choice then lasts as long as the page.
  }
}
