import { appendFileSync, cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { POLICIES_DIR } from './stage.ts';

/** What the copied rules ask of a recogniser, unless a test says otherwise. */
const ASKS = {
  language: 'en',
  model: 'twin-1',
  score_min: 0.6,
  entities: { PERSON: '[REDACTED_PERSON]', LOCATION: '[REDACTED_LOCATION]' },
};

/** The shipped policies in a folder of their own, which ask for names to be taken out. */
export function namingPolicies(more: object = {}): string {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-naming-policies-'));
  cpSync(POLICIES_DIR, dir, { recursive: true });
  appendFileSync(join(dir, 'redaction.yaml'), stringify({ recogniser: { ...ASKS, ...more } }));
  return dir;
}
