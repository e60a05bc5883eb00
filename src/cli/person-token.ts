import { readFileSync } from 'node:fs';
import { nearest } from '../config-issue.ts';
import { isPersonToken, PERSON_TOKEN_PREFIX, publicKeyOf } from '../contract/person-token.ts';
import type { PersonGrant } from '../contract/person-token.ts';
import { isoTime } from '../contract/ports.ts';
import type { Settings } from '../contract/settings.ts';
import { isRefusal, refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import { refuseOpenModes } from '../store/home.ts';
import type { Store } from '../store/store.ts';
import { systemClock, systemIds } from '../system-ports.ts';
import { localUser } from './freeze.ts';
import { CliError, EXIT } from './output.ts';
import { readSecretInput } from './secret-input.ts';

const TOKEN_BYTES = 32;
const TOKEN_VARIABLE = 'AEGIS_PERSON_TOKEN';

/** Mints a token for one person of the identity map; the text is shown once and kept nowhere. */
export async function mintPersonToken(
  store: Store,
  settings: Settings,
  principal: string,
  ttl_ms: number,
): Promise<{ grant: PersonGrant; text: string }> {
  const people = settings.identity.map((i) => i.principal);
  if (!people.includes(principal)) {
    const near = nearest(principal, people);
    throw new CliError(
      `there is no person "${principal}" under identity in aegis.yaml${near === null ? '' : `; did you mean "${near}"?`}`,
      EXIT.usage,
    );
  }
  const text = `${PERSON_TOKEN_PREFIX}${systemIds.secret(TOKEN_BYTES)}`;
  const now = systemClock.now();
  const grant: PersonGrant = {
    token_id: systemIds.next('ptok'),
    principal,
    public_key: publicKeyOf(text),
    minted_at_ms: now,
    expires_at_ms: now + ttl_ms,
  };
  await store.persons.mint(grant, text, localUser());
  return { grant, text };
}

export interface PersonTokenRow {
  readonly token_id: string;
  readonly person: string;
  readonly expires_at: string;
}

export function shownPersonToken({ token_id, principal, expires_at_ms }: PersonGrant): PersonTokenRow {
  return { token_id, person: principal, expires_at: isoTime(expires_at_ms) };
}

/**
 * Who is at this terminal: the holder of the token in the environment, in a private file, or on standard input. Never an
 * argument, which the process list shows to everybody. A token that does not count is a refusal in the SYSTEM chain.
 */
export async function personAtTerminal(
  store: Store,
  token_file: string | undefined,
  about: string,
): Promise<{ grant: PersonGrant; text: string }> {
  const text = (await tokenText(token_file)).trim();
  const found = isPersonToken(text) ? await store.persons.find(text) : wrongKind(text);
  if (!isRefusal(found)) return { grant: found, text };
  throw await refusedHere(store, found, about);
}

/** A refusal at the command line is a ledger entry like every other one. */
export async function refusedHere(store: Store, refusal: Refusal, about: string): Promise<CliError> {
  const { code, reason, remedy } = refusal;
  await store.ledger.append('SYSTEM', [
    { kind: 'refusal', actor: localUser(), payload: { code, reason, remedy, by: null, about } },
  ]);
  return new CliError(`${reason} ${remedy}`.trim());
}

async function tokenText(token_file: string | undefined): Promise<string> {
  const variable = process.env[TOKEN_VARIABLE];
  if (token_file === undefined && variable !== undefined && variable !== '') return variable;
  if (token_file !== undefined && token_file !== '-') return privateFile(token_file);
  if (token_file === '-' || process.stdin.isTTY) return readSecretInput('Your own token (not shown): ');
  throw new CliError(
    `your own token is missing: put it into ${TOKEN_VARIABLE}, or name a private file with --token-file (- is standard input)`,
    EXIT.usage,
  );
}

function privateFile(file: string): string {
  try {
    refuseOpenModes(file);
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError(`the token cannot be taken from ${file}: ${(error as Error).message}`, EXIT.usage);
  }
}

function wrongKind(text: string): Refusal {
  return text.startsWith('agt_')
    ? refuse(
        'gateway-token',
        'This token reads through the gateway; it decides nothing.',
        'Deciding takes a person’s own token: aegis token mint --person <principal>.',
      )
    : refuse(
        'token-unknown',
        'This is not a person’s token.',
        'They begin with apt_; have one minted: aegis token mint --person <principal>.',
      );
}
