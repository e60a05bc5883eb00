/** Response wrapping: an answer is kept behind a single-use token; whoever unwraps first gets it, the second fails. */
import { badRequest, envelope, randomBase62, type VaultAnswer } from './envelope.ts';
import { durationField, textField, type Fields } from './fields.ts';

interface Wrapped {
  readonly answer: VaultAnswer;
  readonly creation_path: string;
  readonly created_ms: number;
  readonly ttl_s: number;
}

export class Wrappings {
  readonly #wrapped = new Map<string, Wrapped>();
  readonly #clock: () => number;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Replaces an answer by its wrapping. `ttl` is the header's text, seconds or a Go duration. */
  wrap(
    answer: VaultAnswer,
    creation_path: string,
    ttl: string,
  ): { readonly answer: VaultAnswer; readonly token: string } {
    const ttl_s = durationField({ 'X-Vault-Wrap-TTL': ttl }, 'X-Vault-Wrap-TTL') ?? 0;
    if (ttl_s <= 0) throw badRequest('requested wrap TTL must be positive');
    const token = `hvs.${randomBase62(92)}`;
    const created_ms = this.#clock();
    this.#wrapped.set(token, { answer, creation_path, created_ms, ttl_s });
    const wrap_info = {
      token,
      accessor: randomBase62(24),
      ttl: ttl_s,
      creation_time: new Date(created_ms).toISOString(),
      creation_path,
      ...(answer.auth === undefined ? {} : { wrapped_accessor: answer.auth.accessor }),
    };
    return { token, answer: { wrap_info } };
  }

  lookup(fields: Fields, header: string): VaultAnswer {
    const { creation_path, created_ms, ttl_s } = this.#find(textField(fields, 'token') ?? header);
    return {
      data: { creation_path, creation_time: new Date(created_ms).toISOString(), creation_ttl: ttl_s },
    };
  }

  /** Hands out the kept answer once. */
  unwrap(fields: Fields, header: string): VaultAnswer {
    const token = textField(fields, 'token') ?? header;
    const { answer } = this.#find(token);
    this.#wrapped.delete(token);
    return { bare: envelope(answer) };
  }

  #find(token: string): Wrapped {
    const found = this.#wrapped.get(token);
    if (found === undefined || found.created_ms + found.ttl_s * 1000 <= this.#clock()) {
      throw badRequest('wrapping token is not valid or does not exist');
    }
    return found;
  }
}
