import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { labSecrets, writeLabFiles } from './lab-config.ts';
import type { LabFiles, LabOptions } from './lab-config.ts';
import { freePort, startProduct } from './product.ts';
import type { Product, ProductCommand } from './product.ts';
import type { Scenario } from './scenarios/scenario.ts';
import { startTwins } from './twins.ts';
import type { Twins } from './twins.ts';
import { World } from './world/world.ts';

/**
 * The practice range: strict twins over one simulated world, an ordinary configuration, and the unchanged product as a
 * child process. The product is reached only the way the real world reaches it.
 */
export interface Range {
  readonly twins: Twins;
  readonly files: LabFiles;
  readonly scenario: Scenario;
  product(): Product;
  /** Starts it again after `stop` or `kill`, with the same files. */
  restart(): Promise<Product>;
  /** Posts to the product as Alertmanager does. */
  webhook(body: unknown, secret?: string): Promise<{ status: number; body: string; ms: number }>;
  close(): Promise<void>;
}

export async function startRange(
  scenario: Scenario,
  run: ProductCommand,
  options: LabOptions & { dir?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<Range> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'aegis-lab-'));
  const world = new World({ clock: Date.now, seed: scenario.name, ...scenario.world() });
  const secrets = labSecrets();
  const twins = await startTwins(world, secrets);
  const port = await freePort();
  const files = writeLabFiles(dir, twins, secrets, port, options);
  twins.slack.connectApp(`http://127.0.0.1:${port}/slack/events`);
  let product = await startProduct(run, files.config, port, options.env);
  return {
    twins,
    files,
    scenario,
    product: () => product,
    async restart() {
      product = await startProduct(run, files.config, port, options.env);
      return product;
    },
    async webhook(body, secret = files.webhook_secret) {
      const started = performance.now();
      const response = await fetch(`http://127.0.0.1:${port}/hooks/alertmanager`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'Alertmanager/0.25.0',
          authorization: `Bearer ${secret}`,
        },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
      const text = await response.text();
      return { status: response.status, body: text, ms: performance.now() - started };
    },
    async close() {
      await product.stop();
      await twins.close();
    },
  };
}
