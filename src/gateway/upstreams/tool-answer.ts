import { z } from 'zod';
import { canonicalJson } from '../../contract/canonical.ts';
import type { PeerAnswer } from '../mcp-peer.ts';
import type { LinkAnswer } from './link.ts';

/**
 * The answer of an external tool as the pipeline knows answers. Text, structured content and links go on to the
 * sanitiser; bytes that no rule can look into are named and left out; links are text, nothing here follows them.
 */
const Part = z.looseObject({ type: z.string().max(100) });
const Result = z.object({
  content: z.array(Part).max(10_000).default([]),
  structuredContent: z.record(z.string(), z.unknown()).optional(),
  isError: z.boolean().optional(),
});

const ERROR_CHARS_MAX = 500;

export function toolAnswer(
  tool: string,
  args: Readonly<Record<string, unknown>>,
  answer: LinkAnswer,
): PeerAnswer {
  if (!answer.ok) return { ok: false, error: answer.error };
  const parsed = Result.safeParse(answer.result);
  if (!parsed.success) return failed('malformed', 'its answer is not the result of a tool');
  const { content, structuredContent, isError } = parsed.data;
  const parts = content.map(shown);
  if (isError === true) {
    const words = parts.flatMap((part) => (typeof part['text'] === 'string' ? [part['text']] : []));
    return failed('invalid', `the tool says: ${words.join(' ').slice(0, ERROR_CHARS_MAX)}`);
  }
  const result = {
    content: parts,
    ...(structuredContent === undefined ? {} : { structured: structuredContent }),
  };
  return { ok: true, structured: { result, source_query: `tools/call ${tool} ${canonicalJson(args)}` } };
}

/** By kind, the fields that are data; everything else (`_meta`, icons, what a later revision adds) stays here. */
function shown(part: z.infer<typeof Part>): Record<string, unknown> {
  if (part.type === 'text') return { type: 'text', text: part['text'] };
  if (part.type === 'resource_link') {
    const { type, uri, name, title, description } = part;
    const mime = part['mimeType'];
    return { type, uri, name, title, description, mimeType: mime };
  }
  if (part.type === 'resource') {
    const resource = (part['resource'] ?? {}) as Readonly<Record<string, unknown>>;
    const { uri, text, blob } = resource;
    const base = { type: 'resource', uri, mimeType: resource['mimeType'] };
    return typeof blob === 'string' ? { ...base, omitted: bytesOf(blob) } : { ...base, text };
  }
  const { type, data } = part;
  return { type, mimeType: part['mimeType'], omitted: bytesOf(data) };
}

function bytesOf(base64: unknown): string {
  const bytes = typeof base64 === 'string' ? Math.floor((base64.length * 3) / 4) : 0;
  return `${bytes} bytes that cannot be redacted`;
}

function failed(problem: 'malformed' | 'invalid', message: string): PeerAnswer {
  return { ok: false, error: { problem, sent: 'answered', status: null, message } };
}
