import { makeNextKey, readProxyConfig } from "@vitrine/proxy";

/**
 * `vitrine proxy rotate-key`: makes the key that is to follow the source's, beside it, and prints its verifier key.
 *
 * @param config the proxy's configuration file
 * @returns the exit status
 * @throws ProxyError `bad_config`, `bad_key`
 */
export async function rotateKey(config: string): Promise<number> {
  const { key } = (await readProxyConfig(config)).source;
  const vkey = await makeNextKey(key);
  process.stdout.write(`${vkey}\n`);
  process.stderr.write(
    `The next key is in ${key}.next. The proxy takes it up at SIGHUP, or when it is started. Keep a copy of it.\n`,
  );
  return 0;
}
