// blocks.validate: the checker over the wire, with pointers relative to what was sent.
import type { Json } from '../json.ts';
import { checkMessageBlocks, checkView, type Finding } from '../../block-kit/check-blocks.ts';
import type { Core } from '../core.ts';
import { type Args, type Method, refuse } from '../method.ts';

function detailed(error: string, findings: readonly Finding[]): never {
  return refuse(error, {
    errors: findings.map(({ pointer, message, expected }) => ({
      code: 'failed_constraint',
      message,
      pointer,
      ...(expected ? { constraint: { type: 'enum', expected } } : {}),
    })),
  });
}

function validate(_core: Core, args: Args): Json {
  const given = ['blocks', 'view', 'message'].filter((name) => args.raw[name] !== undefined);
  if (given.length !== 1) {
    return refuse('invalid_arguments', {
      response_metadata: { messages: ['must provide exactly one of `blocks`, `view`, or `message`'] },
    });
  }
  const name = given[0]!;
  const value = args.structure(name, 'invalid_arguments');
  if (name === 'view') {
    const verdict = checkView(value, '');
    if (verdict.error) detailed('invalid_view', verdict.findings);
    return { ok: true };
  }
  const blocks = name === 'blocks' ? value : (value as Json | null)?.['blocks'];
  const verdict = checkMessageBlocks(blocks ?? [], name === 'blocks' ? '' : '/blocks');
  if (verdict.error === 'msg_blocks_too_long') refuse(verdict.error);
  if (verdict.error) detailed(name === 'blocks' ? 'invalid_blocks' : 'invalid_message', verdict.findings);
  return { ok: true };
}

export const validateMethods: Readonly<Record<string, Method>> = {
  'blocks.validate': { tier: 'special', run: validate },
};
