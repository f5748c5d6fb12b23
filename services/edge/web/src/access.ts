// Who is looking: the session of the sign-in page, and links for those who have none.
import { own } from "./credentials.ts";
import { h, translate } from "./player.js";
import { language } from "./prefs.ts";

export interface Account {
  user: string | undefined;
  canShare: boolean;
}

export async function readAccount(): Promise<Account> {
  try {
    const answer = await fetch(own("/api/session"), { cache: "no-store", signal: AbortSignal.timeout(5000) });
    const json = (await answer.json()) as { user?: unknown; can_share?: unknown };
    return { user: typeof json.user === "string" ? json.user : undefined, canShare: json.can_share === true };
  } catch {
    return { user: undefined, canShare: false };
  }
}

/** Forgets the cookie, then shows where to sign in again. */
export async function signOut(): Promise<void> {
  await fetch("/logout", { method: "POST" }).catch(() => undefined);
  location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
}

const LIFETIMES = [15, 60, 24 * 60];

/** The button that makes a link to one camera for somebody without an account, and the link. */
export class Share {
  readonly element = h("span", { class: "share", hidden: true });
  private readonly make = h("button", { type: "button", class: "button" });
  private readonly minutes = h("select");
  private readonly link = h("input", { readonly: true, hidden: true });

  constructor(private readonly camera: string) {
    this.element.append(this.make, this.minutes, this.link);
    this.make.addEventListener("click", () => void this.ask());
    this.link.addEventListener("focus", () => this.link.select());
    this.relabel();
  }

  relabel(): void {
    const t = (key: string, values = {}): string => translate(language(), key, values);
    const chosen = this.minutes.value || "60";
    this.make.textContent = t("ui.share");
    this.minutes.setAttribute("aria-label", t("ui.shareTime"));
    this.link.setAttribute("aria-label", t("ui.shareLink"));
    const words = (minutes: number): string => (minutes < 60 ? t("ui.minutes", { count: minutes }) : t("ui.hours", { count: minutes / 60 }));
    this.minutes.replaceChildren(...LIFETIMES.map((minutes) => h("option", { value: String(minutes) }, words(minutes))));
    this.minutes.value = chosen;
  }

  private async ask(): Promise<void> {
    let text = translate(language(), "ui.shareFailed");
    try {
      const answer = await fetch(`/api/cameras/${encodeURIComponent(this.camera)}/share`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ minutes: Number(this.minutes.value) }),
      });
      const { url } = (await answer.json()) as { url?: unknown };
      if (answer.ok && typeof url === "string") text = new URL(url, location.href).href;
    } catch {
      // the words say that it failed
    }
    this.link.value = text;
    this.link.hidden = false;
    this.link.focus();
  }
}
