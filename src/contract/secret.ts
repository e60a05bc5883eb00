import { inspect } from 'node:util';

/**
 * Keeps a credential out of logs, JSON, errors and debuggers. Only `reveal()` gives the text; call it where the bytes
 * leave (an HTTP header), nowhere else. JavaScript strings cannot be zeroed: dropping the reference is all we can do.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[SECRET]';
  }

  toJSON(): string {
    return '[SECRET]';
  }

  [inspect.custom](): string {
    return '[SECRET]';
  }
}
