import { refuse, type Refusal } from '../contract/verdict.ts';
import { timeBound } from '../contract/pipeline-parser.ts';
import { isoTime } from '../contract/ports.ts';
import type { PathParams } from './mount.ts';

/** Query parameters of dynamic files, checked where the file is known. A parameter that means nothing is refused. */
export function noParams(params: PathParams): Refusal | null {
  return onlyParams(params, []);
}

export function onlyParams(params: PathParams, known: readonly string[]): Refusal | null {
  const unknown = [...params.keys()].find((name) => !known.includes(name));
  if (unknown === undefined) return null;
  const remedy =
    known.length === 0
      ? 'This file takes no parameters.'
      : `This file takes: ${known.map((name) => `?${name}=`).join(', ')}.`;
  return refuse('bad-parameter', `?${unknown}= means nothing for this file.`, remedy);
}

export function numberParam(
  params: PathParams,
  name: string,
  otherwise: number,
  max: number,
): number | Refusal {
  const text = params.get(name);
  if (text === undefined) return otherwise;
  const value = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  return value >= 1 && value <= max
    ? value
    : refuse(
        'bad-parameter',
        `?${name}= must be a number from 1 to ${max}.`,
        `For example ?${name}=${otherwise}.`,
      );
}

export function ageParam(params: PathParams, name: string): number | null | Refusal {
  const text = params.get(name);
  if (text === undefined) return null;
  const bound = timeBound(text);
  if (bound !== null && 'ago_s' in bound && bound.ago_s > 0) return bound.ago_s * 1000;
  return refuse('bad-parameter', `?${name}= must be a length of time.`, `For example ?${name}=15m.`);
}

/** `?since=` as an age or an ISO time; `at` is the moment that it means. */
export function sinceParam(
  params: PathParams,
  otherwise: string,
  now: () => number,
): { readonly at: string } | Refusal {
  const bound = timeBound(params.get('since') ?? otherwise);
  if (bound === null)
    return refuse(
      'bad-parameter',
      '?since= must be a length of time or an ISO time.',
      'For example ?since=1h or ?since=2026-11-23T10:00:00Z.',
    );
  return 'at' in bound ? { at: bound.at } : { at: isoTime(now() - bound.ago_s * 1000) };
}
