// A certificate authority of the tests' own, in files, and a home folder whose Chromium trusts it.
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

export class Authority {
  constructor(folder) {
    this.folder = folder;
  }

  #at(name) {
    return path.join(this.folder, name);
  }

  static async create(folder) {
    const authority = new Authority(folder);
    await authority.#openssl("req", "-x509", ...KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Fanlight tests",
      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign");
    return authority;
  }

  async #openssl(...args) {
    await run("openssl", args, { cwd: this.folder });
  }

  /** A server's certificate and key for localhost and 127.0.0.1, as `NAME.pem` and `NAME.key`. */
  async issue(name) {
    await writeFile(this.#at("extensions"), "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
    await this.#openssl("req", ...KEY, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    await this.#openssl("x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", `${name}.pem`,
      "-days", "1", "-extfile", "extensions");
    return { cert: this.#at(`${name}.pem`), key: this.#at(`${name}.key`) };
  }

  /** A home folder for `openBrowser`. */
  async home() {
    const home = this.#at("home");
    const store = path.join(home, ".pki/nssdb");
    await mkdir(store, { recursive: true });
    await run("certutil", ["-d", `sql:${store}`, "-N", "--empty-password"]);
    await run("certutil", ["-d", `sql:${store}`, "-A", "-t", "C,,", "-n", "tests", "-i", this.#at("ca.pem")]);
    return home;
  }
}
