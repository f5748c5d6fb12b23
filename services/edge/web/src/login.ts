// The sign-in page. Its form works without this script too; with it, a refusal is said in words on the page.
import { applyLanguage, applyTheme, language } from "./prefs.ts";

const WORDS = {
  en: {
    title: "Sign in",
    name: "Name",
    password: "Password",
    wrong: "This name and password do not fit together.",
    limited: "Too many attempts. Try again in {seconds} s.",
    failed: "The server cannot be reached. Try again.",
    elsewhere: "This server has no passwords of its own: open it through the page or the proxy that signs you in.",
  },
  "zh-CN": {
    title: "登录",
    name: "用户名",
    password: "密码",
    wrong: "用户名或密码不正确。",
    limited: "尝试次数过多，请在 {seconds} 秒后重试。",
    failed: "无法连接服务器，请重试。",
    elsewhere: "此服务器没有自己的密码：请通过为您登录的页面或代理打开它。",
  },
};

const find = <T extends HTMLElement>(selector: string): T => document.querySelector<T>(selector)!;

/** Where to go after signing in: a path of this server, never another one's. */
function next(): string {
  const wanted = new URLSearchParams(location.search).get("next") ?? "/";
  const url = new URL(wanted, location.origin);
  return wanted.startsWith("/") && url.origin === location.origin ? url.pathname + url.search : "/";
}

applyTheme();
applyLanguage();
const words = WORDS[language()];
const form = find<HTMLFormElement>("form");
const said = find("#said");
document.title = `${words.title} · Fanlight`;
find("#name-label").textContent = words.name;
find("#password-label").textContent = words.password;
find("form .button").textContent = words.title;
find<HTMLInputElement>("[name=next]").value = next();
find("[name=name]").focus();

async function signIn(): Promise<void> {
  const fields = new FormData(form);
  const answer = await fetch("/login", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: fields.get("name"), password: fields.get("password") }),
  }).catch(() => undefined);
  if (answer?.ok) location.replace(next());
  else if (answer?.status === 401) said.textContent = words.wrong;
  else if (answer?.status === 429) said.textContent = words.limited.replace("{seconds}", answer.headers.get("retry-after") ?? "60");
  else said.textContent = words.failed;
  if (!answer?.ok) find<HTMLInputElement>("[name=password]").select();
}

/** In the other modes there is nothing to type here. */
async function askMode(): Promise<void> {
  const answer = await fetch("/api/session", { cache: "no-store" });
  const { mode } = (await answer.json()) as { mode?: unknown };
  if (mode === "password") return;
  said.textContent = words.elsewhere;
  form.replaceChildren(said);
}
askMode().catch(() => undefined);

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const button = find<HTMLButtonElement>("form .button");
  button.disabled = true;
  said.textContent = "";
  void signIn().finally(() => (button.disabled = false));
});
