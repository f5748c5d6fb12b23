// The token or share link in this page's address.

/** The parts of this page's address that open streams: they go with every request and every link of the page. */
export const credentials = new URLSearchParams();
for (const name of ["token", "share"]) {
  const value = new URLSearchParams(globalThis.location?.search).get(name);
  if (value) credentials.set(name, value);
}

/** A path of this server with the page's own credentials. */
export function own(path: string): string {
  return credentials.size > 0 ? `${path}?${credentials.toString()}` : path;
}
