import { parseJsonText } from '../../contract/parse.ts';
import { UpstreamError } from '../upstream-error.ts';

/** Answers of upstreams go through the parser door too; the transport has capped their bytes before. */
const LIMITS = { bytes_max: 16 * 1024 * 1024, depth_max: 100, keys_max: 2_000_000 };

/** @throws UpstreamError `malformed` */
export function answerJson(text: string): unknown {
  const parsed = parseJsonText(text, LIMITS);
  if (parsed.ok) return parsed.value;
  // The parser's own words quote a few characters of the text: half a secret has no shape.
  const reason = parsed.reason.startsWith('not JSON') ? 'it is not JSON' : parsed.reason;
  throw malformed(`the answer cannot be read: ${reason}`);
}

export function malformed(message: string): UpstreamError {
  return new UpstreamError({ problem: 'malformed', sent: 'answered', status: null, message });
}

/** The driver itself refuses: nothing was sent. */
export function blocked(message: string): UpstreamError {
  return new UpstreamError({ problem: 'blocked', sent: 'no', status: null, message });
}
