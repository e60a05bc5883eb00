import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parseYamlText } from '../../src/contract/parse.ts';
import { LISTENERS } from '../../src/slack/listeners/index.ts';
import { SLASH_VERBS } from '../../src/slack/verbs.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const parsed = parseYamlText(readFileSync(join(root, 'manifest.yml'), 'utf8'));
if (!parsed.ok) throw new Error(parsed.reason);

const url = z.url({ protocol: /^https$/ });
// The rules of Slack's manifest schema, restated: lengths, counts, and no key that Slack does not know.
const Manifest = z.strictObject({
  _metadata: z.strictObject({ major_version: z.literal(2), minor_version: z.literal(1) }),
  display_information: z.strictObject({
    name: z.string().min(1).max(35),
    description: z.string().max(140),
    background_color: z.string().regex(/^#[0-9A-F]{6}$/),
  }),
  features: z.strictObject({
    app_home: z.strictObject({
      home_tab_enabled: z.boolean(),
      messages_tab_enabled: z.boolean(),
      messages_tab_read_only_enabled: z.boolean(),
    }),
    bot_user: z.strictObject({ display_name: z.string().max(80), always_online: z.boolean() }),
    shortcuts: z
      .array(
        z.strictObject({
          name: z.string().max(24),
          type: z.enum(['message', 'global']),
          callback_id: z.string().max(255),
          description: z.string().max(150),
        }),
      )
      .max(10),
    slash_commands: z
      .array(
        z.strictObject({
          command: z.string().regex(/^\/[a-z0-9_-]{1,31}$/),
          url,
          description: z.string().max(2000),
          usage_hint: z.string().max(1000),
          should_escape: z.boolean(),
        }),
      )
      .max(50),
  }),
  oauth_config: z.strictObject({
    scopes: z.strictObject({
      bot: z.array(z.string()).min(1).max(255),
      bot_optional: z.array(z.string()).max(255),
    }),
  }),
  settings: z.strictObject({
    event_subscriptions: z.strictObject({ request_url: url, bot_events: z.array(z.string()).max(100) }),
    interactivity: z.strictObject({ is_enabled: z.literal(true), request_url: url }),
    org_deploy_enabled: z.boolean(),
    socket_mode_enabled: z.literal(false),
    token_rotation_enabled: z.boolean(),
  }),
});
const manifest = Manifest.parse(parsed.value);

/** Scope that each Web API method needs; null for none. Source: Slack's method reference. */
const SCOPES: Readonly<Record<string, string | null>> = {
  'auth.test': null,
  'chat.postMessage': 'chat:write',
  'chat.update': 'chat:write',
  'chat.postEphemeral': 'chat:write',
  'conversations.history': 'channels:history',
  'conversations.replies': 'channels:history',
  'users.info': 'users:read',
  'views.open': null,
  'views.update': null,
  'views.publish': null,
};

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sources(path) : [readFileSync(path, 'utf8')];
  });
}

describe('manifest.yml', () => {
  it('names only scopes and events that Slack knows', () => {
    const vendor = dirname(createRequire(import.meta.url).resolve('@slack/web-api'));
    const known = readFileSync(join(vendor, 'types/request/manifest.d.ts'), 'utf8');
    const { bot, bot_optional } = manifest.oauth_config.scopes;
    for (const word of [...bot, ...bot_optional, ...manifest.settings.event_subscriptions.bot_events])
      expect(known, word).toContain(`'${word}'`);
    expect(new Set([...bot, ...bot_optional]).size).toBe(bot.length + bot_optional.length);
  });

  it('asks for the scope of every method that the room calls, and for none that no method, event or command needs', () => {
    const code = sources(join(root, 'src/slack')).join('\n');
    const used = [
      ...new Set(
        [...code.matchAll(/'((?:auth|chat|conversations|users|views)\.[a-zA-Z]+)'/g)].map(
          (match) => match[1] as string,
        ),
      ),
    ];
    expect(used.sort()).toEqual(Object.keys(SCOPES).sort());
    const needed = new Set(used.map((method) => SCOPES[method]).filter((scope) => typeof scope === 'string'));
    const { bot, bot_optional } = manifest.oauth_config.scopes;
    for (const scope of needed) expect([...bot, ...bot_optional]).toContain(scope);
    const others = ['app_mentions:read', 'commands', 'groups:history', 'files:write'];
    expect(
      [...bot, ...bot_optional].filter((scope) => !needed.has(scope) && !others.includes(scope)),
    ).toEqual([]);
  });

  it('never posts where it was not invited and reads no history unless allowed', () => {
    expect(manifest.oauth_config.scopes.bot).not.toContain('chat:write.public');
    expect(manifest.oauth_config.scopes.bot.filter((scope) => scope.endsWith(':history'))).toEqual([]);
  });

  it('subscribes and declares exactly what listeners serve', () => {
    const events = LISTENERS.filter((listener) => listener.kind === 'event').map(
      (listener) => listener.event_type,
    );
    expect(manifest.settings.event_subscriptions.bot_events.toSorted()).toEqual(events.toSorted());
    const shortcuts = LISTENERS.filter((listener) => listener.kind === 'shortcut').map(
      (listener) => listener.callback_id,
    );
    expect(manifest.features.shortcuts.map((shortcut) => shortcut.callback_id)).toEqual(shortcuts);
    const commands = LISTENERS.filter((listener) => listener.kind === 'command').map(
      (listener) => listener.command,
    );
    expect(manifest.features.slash_commands.map((command) => command.command)).toEqual(commands);
    const [command] = manifest.features.slash_commands;
    expect(command?.should_escape).toBe(true);
    for (const verb of SLASH_VERBS) expect(command?.usage_hint).toContain(verb);
  });

  it('sends everything to the one address that is examined', () => {
    const addresses = [
      manifest.settings.event_subscriptions.request_url,
      manifest.settings.interactivity.request_url,
      ...manifest.features.slash_commands.map((command) => command.url),
    ];
    expect(new Set(addresses).size).toBe(1);
    expect(new URL(addresses[0] as string).pathname).toBe('/slack/events');
  });

  it('registers every listener file', () => {
    const folder = join(root, 'src/slack/listeners');
    const index = readFileSync(join(folder, 'index.ts'), 'utf8');
    const shared = [
      'index.ts',
      'listener.ts',
      'incident-act.ts',
      'open-modal.ts',
      'current-approval.ts',
      'decision-submit.ts',
    ];
    for (const file of readdirSync(folder))
      if (!shared.includes(file)) expect(index).toContain(`'./${file}'`);
  });
});
