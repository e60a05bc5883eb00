// The frame of every modal, and the three plain ones: loading, a refusal, a fault. Pure.
import type { KnownBlock, ModalView } from '@slack/types';
import { LIMITS, mrkdwn } from '../block-limits.ts';
import { context, paragraph, plain, richText, say } from '../blocks.ts';
import { SIMULATED } from '../cards/card.ts';

export interface ModalSpec {
  readonly title: string;
  readonly blocks: readonly KnownBlock[];
  readonly callback_id?: string;
  readonly submit?: string;
  readonly close?: string;
  readonly meta?: unknown;
  readonly simulated: boolean;
}

export function modal(spec: ModalSpec): ModalView {
  const mark = spec.simulated ? [context('sim', [SIMULATED])] : [];
  return {
    type: 'modal',
    title: plain(spec.title, LIMITS.modal_title_max),
    close: plain(spec.close ?? 'Close', LIMITS.modal_title_max),
    ...(spec.submit === undefined ? {} : { submit: plain(spec.submit, LIMITS.modal_title_max) }),
    ...(spec.callback_id === undefined ? {} : { callback_id: spec.callback_id }),
    ...(spec.meta === undefined ? {} : { private_metadata: JSON.stringify(spec.meta) }),
    blocks: [...spec.blocks.slice(0, LIMITS.modal_blocks_max - 1), ...mark],
  };
}

export function loadingView(title: string, doing: string): ModalView {
  return modal({ title, blocks: [context('loading', [mrkdwn`⏳ ${doing}`])], simulated: false });
}

/** One or two sentences: why not, and what to do next. */
export function wordsView(title: string, words: string, simulated: boolean): ModalView {
  return modal({ title, blocks: [richText('words', [paragraph([say(words)])])], simulated });
}
