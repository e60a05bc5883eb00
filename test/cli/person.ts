import { token } from '../../src/cli/token.ts';
import { inProcess, json, type Ran } from './run-aegis.ts';

/** A token of a person of the configuration, minted as an administrator does. */
export async function mintedFor(
  config: string,
  person: string,
  ttl = '1h',
): Promise<{ token: string; token_id: string }> {
  const ran = await inProcess(() =>
    token({ config, json: true }, 'mint', undefined, { person, class: 'read', ttl }),
  );
  if (ran.code !== 0) throw new Error(ran.err);
  return json(ran) as { token: string; token_id: string };
}

export const personToken = async (config: string, person: string): Promise<string> =>
  (await mintedFor(config, person)).token;

export const revokeToken = (config: string, token_id: string): Promise<Ran> =>
  inProcess(() => token({ config }, 'revoke', token_id, { class: 'read', ttl: '1h' }));

/** Runs a verb with a token in the environment, as somebody at a terminal does. */
export async function withPersonToken(text: string, verb: () => unknown): Promise<Ran> {
  const before = process.env['AEGIS_PERSON_TOKEN'];
  process.env['AEGIS_PERSON_TOKEN'] = text;
  try {
    return await inProcess(verb);
  } finally {
    if (before === undefined) delete process.env['AEGIS_PERSON_TOKEN'];
    else process.env['AEGIS_PERSON_TOKEN'] = before;
  }
}
