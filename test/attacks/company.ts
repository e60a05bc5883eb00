import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { labSecrets, writeLabFiles } from '../../src/lab/lab-config.ts';
import { DATA_CHANNEL, PEOPLE, TEAM_ID } from '../../src/lab/people.ts';
import { freePort, startProduct } from '../../src/lab/product.ts';
import type { Range } from '../../src/lab/range.ts';
import { sparkDriverOom } from '../../src/lab/scenarios/spark-driver-oom.ts';
import { startTwins } from '../../src/lab/twins.ts';
import { World } from '../../src/lab/world/world.ts';
import { BUILT_ENTRY } from '../built-product.ts';

/**
 * The practice range with more people in it than the demo has: those who may not approve, and those who may for now. The
 * product is the unchanged one; only its wall clock can be moved (see `clock-ahead.mjs`).
 */
export const MORE_PEOPLE = {
  /** Starts the second incident. */
  lena: 'U0LENA',
  /** Loses her role after her click. */
  noor: 'U0NOOR',
  /** Dan's other account: the same human. */
  dans_phone: 'U0DANPHONE',
  /** In Slack's group of approvers, in no identity map. */
  stranger: 'U0STRANGER',
  robot: 'U0ROBOT',
  partner: 'U0PARTNER',
} as const;

interface IdentityEntry {
  principal: string;
  name: string;
  slack: { workspace: string; user: string }[];
  roles: { team: string; env: string; role: string }[];
}

export interface Company extends Range {
  /** Gives a person another role in data/prod and starts the product again, as an administrator does. */
  reassign(principal: string, role: string): Promise<void>;
  /** Stops the product, changes aegis.yaml, starts it again. */
  reconfigure(edit: (settings: Settings) => void): Promise<void>;
  /** Two hours pass for the product at once. */
  jumpAhead(): void;
  readonly bot_token: string;
  /** Where the product listens. */
  readonly url: string;
}

export const JUMP_S = 2 * 3600;

export async function startCompany(change: (settings: Settings) => void = () => {}): Promise<Company> {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-attacks-'));
  const world = new World({ clock: Date.now, seed: 'attacks', ...sparkDriverOom.world() });
  const secrets = labSecrets();
  const twins = await startTwins(world, secrets);
  const port = await freePort();
  const files = writeLabFiles(dir, twins, secrets, port);
  twins.slack.connectApp(`http://127.0.0.1:${port}/slack/events`);
  const run = {
    command: process.execPath,
    args: ['--import', join(import.meta.dirname, 'clock-ahead.mjs'), BUILT_ENTRY],
  };
  // Dozens of attacks in seconds: what Slack's rate limits do to the cards is tested elsewhere.
  twins.slack.limiter.set({ enforced: false });
  hire(twins);
  editSettings(files.config, (settings) => {
    const { identity, teams } = settings;
    settings.http['public_url'] = `http://127.0.0.1:${port}`;
    change(settings);
    // Three plans in one incident.
    teams.data.environments.prod['budget'] = {
      tokens_max: 200_000,
      tool_calls_max: 200,
      cost_usd_max: 2,
      minutes_max: 120,
    };
    const oncall = (principal: string, name: string, user: string): IdentityEntry => ({
      principal,
      name,
      slack: [{ workspace: TEAM_ID, user }],
      roles: [{ team: 'data', env: 'prod', role: 'oncall' }],
    });
    identity.push(
      oncall('lena', 'Lena Vogt', MORE_PEOPLE.lena),
      oncall('noor', 'Noor Aziz', MORE_PEOPLE.noor),
    );
    identity
      .find((p) => p.principal === 'dan')
      ?.slack.push({ workspace: TEAM_ID, user: MORE_PEOPLE.dans_phone });
  });
  let product = await startProduct(run, files.config, port);
  const range: Range = {
    twins,
    files,
    scenario: sparkDriverOom,
    product: () => product,
    async restart() {
      product = await startProduct(run, files.config, port);
      return product;
    },
    async webhook(body, secret = files.webhook_secret) {
      const response = await fetch(`http://127.0.0.1:${port}/hooks/alertmanager`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
        body: JSON.stringify(body),
      });
      return { status: response.status, body: await response.text(), ms: 0 };
    },
    async close() {
      await product.kill();
      await twins.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  const reconfigure: Company['reconfigure'] = async (edit) => {
    await product.stop();
    editSettings(files.config, edit);
    await range.restart();
  };
  return {
    ...range,
    bot_token: secrets.bot_token,
    url: `http://127.0.0.1:${port}`,
    reconfigure,
    reassign: (principal, role) =>
      reconfigure(({ identity }) => {
        for (const person of identity)
          if (person.principal === principal) person.roles = [{ team: 'data', env: 'prod', role }];
      }),
    jumpAhead: () => void process.kill(product.pid, 'SIGUSR2'),
  };
}

function hire({ slack }: Awaited<ReturnType<typeof startTwins>>): void {
  const { workspace } = slack;
  for (const [name, id] of Object.entries(MORE_PEOPLE)) workspace.users.set(id, { id, name });
  workspace.setRole(MORE_PEOPLE.robot, 'bot');
  workspace.users.set(MORE_PEOPLE.partner, {
    id: MORE_PEOPLE.partner,
    name: 'partner',
    role: 'foreign',
    team_id: 'T0PARTNER',
  });
  workspace.usergroups.set('S0APPROVERS', {
    id: 'S0APPROVERS',
    handle: 'data-approvers',
    users: [PEOPLE.dan, PEOPLE.ines, MORE_PEOPLE.stranger],
  });
  workspace.setMembers(DATA_CHANNEL, [...Object.values(PEOPLE), ...Object.values(MORE_PEOPLE), 'U0AEGIS']);
}

interface Settings {
  http: Record<string, unknown>;
  services: Record<string, unknown>[];
  identity: IdentityEntry[];
  teams: { data: { environments: { prod: Record<string, unknown> } } };
}

function editSettings(config: string, edit: (settings: Settings) => void): void {
  const settings = parse(readFileSync(config, 'utf8')) as Settings;
  edit(settings);
  writeFileSync(config, stringify(settings, { aliasDuplicateObjects: false }));
}
