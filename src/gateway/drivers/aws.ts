import { z } from 'zod';
import { answerJson, blocked, malformed } from './answer-json.ts';
import { readTool, type CallHandle, type Driver } from './driver.ts';

/** `mcp://aws/<account>/-/role/<role>`: what a role is, which policies it has, and what they would allow. */
const API_VERSION = '2010-05-08';
/** Pages of one list; more policies than that no role can have. */
const PAGES_MAX = 10;

const NoArgs = z.strictObject({});
const SimulateArgs = z.strictObject({
  actions: z
    .array(z.string().regex(/^[a-z0-9-]{1,60}:[A-Za-z0-9*]{1,100}$/, 'write actions like s3:GetObject'))
    .min(1)
    .max(50),
  resources: z
    .array(z.string().regex(/^(?:\*|arn:[\w+=,.@:/*?$~-]{1,1000})$/, 'write resources as ARNs'))
    .max(20)
    .default([]),
});

const COMMON = {
  system: 'aws',
  base_class: 'read',
  target_kinds: ['role'] as string[],
  dry_run: 'none',
  timeout_ms_max: 20_000,
  result_bytes_max: 1024 * 1024,
} as const;

const GET_ROLE = readTool<z.infer<typeof NoArgs>>({
  ...COMMON,
  name: 'iam.get_role',
  description: 'Reads a role of IAM: who may assume it, its limits, when it was last used.',
  input: NoArgs,
  async read(handle) {
    const role = await getRole(handle);
    const trust = answerJson(decodeURIComponent(role.AssumeRolePolicyDocument));
    const { AssumeRolePolicyDocument: _text, ...rest } = role;
    return { result: { role: rest, trust_policy: trust }, source_query: `GetRole ${handle.target.name}` };
  },
});

const LIST_ROLE_POLICIES = readTool<z.infer<typeof NoArgs>>({
  ...COMMON,
  name: 'iam.list_role_policies',
  description: 'Lists the inline and the attached policies of a role of IAM.',
  input: NoArgs,
  async read(handle) {
    const inline = await pages(handle, 'ListRolePolicies', InlinePage, (page) => page.PolicyNames);
    const attached = await pages(handle, 'ListAttachedRolePolicies', AttachedPage, (page) =>
      page.AttachedPolicies.map(({ PolicyName, PolicyArn }) => ({ name: PolicyName, arn: PolicyArn })),
    );
    return {
      result: { inline, attached },
      source_query: `ListRolePolicies, ListAttachedRolePolicies ${handle.target.name}`,
    };
  },
});

const SIMULATE = readTool<z.infer<typeof SimulateArgs>>({
  ...COMMON,
  name: 'iam.simulate',
  description: 'Asks IAM whether the policies of a role would allow actions on resources. Nothing is done.',
  input: SimulateArgs,
  async read(handle, { actions, resources }) {
    const { Arn } = await getRole(handle);
    const answer = await ask(handle, 'SimulatePrincipalPolicy', Simulated, {
      PolicySourceArn: Arn,
      ...members('ActionNames', actions),
      ...members('ResourceArns', resources),
    });
    if (answer.IsTruncated === 'true') throw malformed('the answer is longer than one page');
    const results = answer.EvaluationResults.map((one) => ({
      action: one.EvalActionName,
      resource: one.EvalResourceName,
      decision: one.EvalDecision,
      decided_by: one.MatchedStatements.map(({ SourcePolicyId }) => SourcePolicyId),
      missing_context: one.MissingContextValues,
    }));
    return {
      result: { role: Arn, results },
      source_query: `SimulatePrincipalPolicy ${Arn} ${actions.join(',')} on ${resources.join(',') || '*'}`,
    };
  },
});

export const AWS_DRIVER: Driver = { system: 'aws', tools: [GET_ROLE, LIST_ROLE_POLICIES, SIMULATE] };

/** A list of the Query API: `<X><member/>…</X>`, and an empty text for none. */
const listOf = <T extends z.ZodType>(member: T) =>
  z
    .union([z.literal(''), z.object({ member: z.array(member) })])
    .optional()
    .transform((list) => (list === undefined || list === '' ? [] : (list.member as z.output<T>[])));

const Role = z.looseObject({
  RoleName: z.string(),
  RoleId: z.string(),
  Arn: z.string(),
  AssumeRolePolicyDocument: z.string(),
});
const RoleAnswer = z.object({ Role });
const Page = { IsTruncated: z.string().optional(), Marker: z.string().optional() };
const InlinePage = z.object({ ...Page, PolicyNames: listOf(z.string()) });
const AttachedPage = z.object({
  ...Page,
  AttachedPolicies: listOf(z.object({ PolicyName: z.string(), PolicyArn: z.string() })),
});
const Simulated = z.object({
  ...Page,
  EvaluationResults: listOf(
    z.object({
      EvalActionName: z.string(),
      EvalResourceName: z.string().optional(),
      EvalDecision: z.enum(['allowed', 'explicitDeny', 'implicitDeny']),
      MatchedStatements: listOf(z.object({ SourcePolicyId: z.string() })),
      MissingContextValues: listOf(z.string()),
    }),
  ),
});

async function getRole(handle: CallHandle): Promise<z.infer<typeof Role>> {
  return (await ask(handle, 'GetRole', RoleAnswer, { RoleName: handle.target.name })).Role;
}

async function pages<T extends { IsTruncated?: string | undefined; Marker?: string | undefined }, Item>(
  handle: CallHandle,
  action: string,
  schema: z.ZodType<T>,
  items: (page: T) => readonly Item[],
): Promise<Item[]> {
  const all: Item[] = [];
  let marker: string | undefined;
  for (let page = 1; page <= PAGES_MAX; page += 1) {
    const query = { RoleName: handle.target.name, ...(marker === undefined ? {} : { Marker: marker }) };
    const answer = await ask(handle, action, schema, query);
    all.push(...items(answer));
    if (answer.IsTruncated !== 'true') return all;
    marker = answer.Marker;
  }
  throw malformed(`the list has more than ${PAGES_MAX} pages`);
}

function members(name: string, values: readonly string[]): Record<string, string> {
  return Object.fromEntries(values.map((value, n) => [`${name}.member.${n + 1}`, value]));
}

async function ask<T>(
  handle: CallHandle,
  action: string,
  schema: z.ZodType<T>,
  query: Readonly<Record<string, string>>,
): Promise<T> {
  if (handle.upstream.system !== 'aws') throw blocked('the target is not an AWS account');
  const answer = await handle.http.request({
    method: 'GET',
    path: '/',
    query: { Action: action, Version: API_VERSION, ...query },
  });
  const body = (await answerXml(answer.text)) as Record<string, Record<string, unknown> | undefined>;
  const parsed = schema.safeParse(body[`${action}Response`]?.[`${action}Result`]);
  if (parsed.success) return parsed.data;
  throw malformed(`the answer is not what IAM documents for ${action}`);
}

/** Entities other than the five of XML are not known, nothing is fetched, and every value stays text. */
async function answerXml(text: string): Promise<unknown> {
  if (text.includes('<!')) throw malformed('the answer holds a declaration, which IAM never sends');
  const { XMLParser } = await import('fast-xml-parser');
  const parser = new XMLParser({
    ignoreAttributes: true,
    parseTagValue: false,
    isArray: (name) => name === 'member',
  });
  try {
    return parser.parse(text, true) as unknown;
  } catch {
    throw malformed('the answer is not XML');
  }
}
