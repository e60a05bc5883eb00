import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { hashOf, sha256Hex } from '../../contract/canonical.ts';
import { Guardrails } from '../../contract/guardrails.ts';
import { parseYamlText } from '../../contract/parse.ts';
import { KEPT_BY_DEFAULT, Retention } from '../../contract/retention.ts';
import { compileRules, RedactionRules, type CompiledRules } from '../sanitize/rules.ts';
import { loadAuthorizer, type Authorizer } from './authorizer.ts';

/** Policies in force: parsed, validated and named by one digest over every file. */
export interface PolicySet {
  readonly digest: string;
  readonly guardrails: Guardrails;
  readonly redaction: CompiledRules;
  readonly retention: Retention;
  readonly authorizer: Authorizer;
  readonly policy_ids: readonly string[];
}

export interface PolicyLoad {
  /** Null when any file is wrong: then nothing is in force, not even the files that are right. */
  readonly set: PolicySet | null;
  readonly problems: readonly string[];
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
  /** The redaction rules when their own file is right, so that people can still be told what is wrong. */
  readonly redaction: CompiledRules | null;
}

/** What belongs to a set and to its digest. */
export const POLICY_FILE = /\.(?:cedar|cedarschema|yaml)$/;

/** What aegis.yaml offers to the rules. */
export interface RuleServices {
  /** It names a recogniser. */
  readonly recogniser: boolean;
}

/**
 * Loads a policy directory. Never throws: an unreadable directory is a set that is not in force. Without `services` nobody
 * knows the configuration, and rules may ask for anything.
 */
export async function loadPolicySet(dir: string, services?: RuleServices): Promise<PolicyLoad> {
  const problems: string[] = [];
  const texts = await readTexts(dir, problems);
  const files = [...texts].map(([name, text]) => ({ name, sha256: sha256Hex(text) }));
  const digest = hashOf({ v: 1, files });
  const guardrails = parsePart(texts, 'guardrails.yaml', Guardrails, problems);
  // Sets from before there was such a file do without.
  const retention = texts.has('retention.yaml')
    ? parsePart(texts, 'retention.yaml', Retention, problems)
    : KEPT_BY_DEFAULT;
  const redaction = compileRedaction(parsePart(texts, 'redaction.yaml', RedactionRules, problems), problems);
  if (redaction !== null && redaction.recogniser !== null && services?.recogniser === false)
    problems.push(noRecogniser(texts.get('redaction.yaml') ?? ''));
  const schema = texts.get('schema.cedarschema');
  if (schema === undefined) problems.push('schema.cedarschema is missing');
  const cedar = [...texts]
    .filter(([name]) => name.endsWith('.cedar'))
    .map(([name, text]) => ({ name, text }));
  if (cedar.length === 0) problems.push('there is no *.cedar file: nothing would be allowed');
  const loaded =
    problems.length === 0 && schema !== undefined
      ? await loadAuthorizer(`aegis-${digest}`, schema, cedar)
      : null;
  if (loaded !== null && !loaded.ok) problems.push(...loaded.problems);
  if (problems.length > 0 || !loaded?.ok || guardrails === null || redaction === null || retention === null)
    return { set: null, problems, files, redaction };
  const { authorizer, policy_ids } = loaded;
  const set = { digest, guardrails, redaction, retention, authorizer, policy_ids };
  return { set, problems, files, redaction };
}

/** Rules that ask for names to be taken out are not in force where nothing can take them out. */
function noRecogniser(text: string): string {
  const line = text.split('\n').findIndex((one) => one.startsWith('recogniser:')) + 1;
  return `redaction.yaml${line === 0 ? '' : `:${line}`}: recogniser: asks for names to be taken out, but aegis.yaml has no \`recogniser\` section with the address of a service; add it there, or remove this block`;
}

async function readTexts(dir: string, problems: string[]): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  try {
    const names = (await readdir(dir, { withFileTypes: true }))
      // A mounted ConfigMap holds symbolic links to its files.
      .filter((entry) => !entry.isDirectory() && POLICY_FILE.test(entry.name))
      .map((entry) => entry.name)
      .sort();
    for (const name of names) texts.set(name, await readFile(join(dir, name), 'utf8'));
  } catch (error) {
    problems.push(`cannot read the policy directory ${dir}: ${(error as Error).message}`);
  }
  return texts;
}

function parsePart<T>(
  texts: Map<string, string>,
  name: string,
  schema: z.ZodType<T>,
  problems: string[],
): T | null {
  const text = texts.get(name);
  if (text === undefined) {
    problems.push(`${name} is missing`);
    return null;
  }
  const parsed = parseYamlText(text);
  if (!parsed.ok) {
    problems.push(`${name}${parsed.line === null ? '' : `:${parsed.line}`}: ${parsed.reason}`);
    return null;
  }
  const checked = schema.safeParse(parsed.value);
  if (checked.success) return checked.data;
  for (const issue of checked.error.issues) {
    const line = parsed.line_of(issue.path as (string | number)[]);
    problems.push(`${name}${line === null ? '' : `:${line}`}: ${issue.path.join('.')}: ${issue.message}`);
  }
  return null;
}

function compileRedaction(rules: RedactionRules | null, problems: string[]): CompiledRules | null {
  if (rules === null) return null;
  try {
    return compileRules(rules);
  } catch (error) {
    problems.push(`redaction.yaml: ${(error as Error).message}`);
    return null;
  }
}
