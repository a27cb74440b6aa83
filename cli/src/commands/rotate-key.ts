import { makeNextKey, readProxyConfig, sourceKeyFiles } from "@vitrine/proxy";

/**
 * `vitrine proxy rotate-key`: makes the key that is to follow the source's, beside it, and prints its verifier key; of a
 * proxy with workers the key of each.
 *
 * @param config the proxy's configuration file
 * @returns the exit status
 * @throws ProxyError `bad_config`, `bad_key`
 */
export async function rotateKey(config: string): Promise<number> {
  for (const key of sourceKeyFiles(await readProxyConfig(config))) {
    const vkey = await makeNextKey(key);
    process.stdout.write(`${vkey}\n`);
    process.stderr.write(
      `The next key is in ${key}.next. The proxy takes it up at SIGHUP, or when it is started. Keep a copy of it.\n`,
    );
  }
  return 0;
}
