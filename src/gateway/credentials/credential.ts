import type { Secret } from '../../contract/secret.ts';

/** What a lease holds, by the way in which its system is logged in to. */
export type Credential =
  | { readonly kind: 'bearer'; readonly token: Secret }
  | { readonly kind: 'password'; readonly username: string; readonly password: Secret }
  | {
      readonly kind: 'aws';
      readonly access_key_id: string;
      readonly secret_access_key: Secret;
      /** Null for a standing key. */
      readonly session_token: Secret | null;
    };

/** Every text that must not be seen, for the exact scrub of what comes back. */
export function secretTexts(credential: Credential): readonly string[] {
  if (credential.kind === 'bearer') return [credential.token.reveal()];
  if (credential.kind === 'password') {
    const password = credential.password.reveal();
    return [password, Buffer.from(`${credential.username}:${password}`).toString('base64')];
  }
  const { secret_access_key, session_token } = credential;
  return [secret_access_key.reveal(), ...(session_token === null ? [] : [session_token.reveal()])];
}
