// A real Bolt app on a free port, connected to a twin: the third-party client of the delivery tests.
import { App, HTTPReceiver, LogLevel } from '@slack/bolt';
import type { AddressInfo } from 'node:net';
import type { SlackTwin } from '../../../src/lab/slack/twin.ts';
import { SECRET, TOKEN } from './acme.ts';

export interface RunningBolt {
  app: App;
  url: string;
  stop: () => Promise<void>;
}

export async function startBolt(twin: SlackTwin, listeners: (app: App) => void): Promise<RunningBolt> {
  const receiver = new HTTPReceiver({ signingSecret: SECRET, logLevel: LogLevel.ERROR });
  const app = new App({
    token: TOKEN,
    receiver,
    deferInitialization: true,
    logLevel: LogLevel.ERROR,
    clientOptions: { slackApiUrl: twin.api_url, retryConfig: { retries: 0 } },
  });
  await app.init();
  listeners(app);
  const server = await receiver.start(0, { host: '127.0.0.1' } as never);
  const url = `http://127.0.0.1:${((server as { address(): unknown }).address() as AddressInfo).port}/slack/events`;
  twin.connectApp(url);
  return { app, url, stop: async () => void (await app.stop()) };
}
