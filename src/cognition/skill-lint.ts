import { RE2JS } from 're2js';
import { parsePipeline } from '../contract/pipeline-parser.ts';
import { pipelineVariables } from '../contract/pipeline-printer.ts';
import type { Expectation } from '../contract/expectation.ts';
import type { Skill, SkillCheck } from '../contract/skill.ts';
import { ToolName } from '../contract/tool.ts';
import { jsonVariables, variableName } from './skill-binding.ts';

/**
 * What the schema cannot say: names that refer to each other, templates that parse, patterns that are RE2. Each problem
 * is one sentence that names the place. A skill with a problem is never loaded.
 */
export function lintSkill(skill: Skill): string[] {
  return [
    ...lintNames(skill),
    ...lintVars(skill),
    ...skill.triggers.flatMap((trigger, i) =>
      [trigger.alert, trigger.text, ...Object.values(trigger.labels ?? {})].flatMap((p) =>
        lintPattern(`triggers[${i}]`, p),
      ),
    ),
    ...skill.triggers.flatMap((trigger, i) =>
      trigger.alert === undefined &&
      trigger.text === undefined &&
      Object.keys(trigger.labels ?? {}).length === 0
        ? [`triggers[${i}]: give at least one of alert, labels, text`]
        : [],
    ),
    ...skill.reads.flatMap((read) => lintRead(skill, `reads.${read.id}`, read.run)),
    ...lintHypotheses(skill),
    ...lintPlans(skill),
  ];
}

function lintNames(skill: Skill): string[] {
  const twice = (kind: string, names: readonly string[]) =>
    names.filter((name, i) => names.indexOf(name) < i).map((name) => `${kind}: ${name} is there twice`);
  return [
    ...twice(
      'reads',
      skill.reads.map((r) => r.id),
    ),
    ...twice(
      'hypotheses',
      skill.hypotheses.map((h) => h.id),
    ),
    ...twice(
      'plans',
      skill.plans.map((p) => p.hypothesis),
    ),
  ];
}

function lintVars(skill: Skill): string[] {
  const problems: string[] = [];
  const seen = new Map<string, string>();
  for (const entry of skill.vars) {
    const place = `vars.${entry.name}`;
    if ((seen.get(entry.name) ?? entry.type) !== entry.type)
      problems.push(`${place}: a fall-back has the same type as the first entry`);
    const { from } = entry;
    if ('read' in from && !skill.reads.some((read) => read.id === from.read))
      problems.push(`${place}: there is no read ${from.read}`);
    if ('pattern' in from) problems.push(...lintPattern(place, from.pattern));
    if ('compute' in from) {
      const inputs = from.of.filter((part) => part.startsWith('$'));
      for (const input of inputs)
        if (variableName(input) === null || !seen.has(input.slice(1)))
          problems.push(`${place}: ${input} is not declared before it`);
      if (from.compute === 'double_quantity' && (from.of.length !== 1 || inputs.length !== 1))
        problems.push(`${place}: double_quantity takes one variable`);
    }
    seen.set(entry.name, entry.type);
  }
  return problems;
}

function lintHypotheses(skill: Skill): string[] {
  return skill.hypotheses.flatMap((hypothesis) =>
    hypothesis.when.flatMap((condition, i) => {
      const place = `hypotheses.${hypothesis.id}.when[${i}]`;
      const missing = skill.reads.some((read) => read.id === condition.read)
        ? []
        : [`${place}: there is no read ${condition.read}`];
      return [
        ...missing,
        ...lintExpectation(skill, place, condition.expect),
        ...lintSentence(skill, place, condition.claim),
      ];
    }),
  );
}

function lintPlans(skill: Skill): string[] {
  return skill.plans.flatMap((plan) => {
    const place = `plans.${plan.hypothesis}`;
    const hypothesis = skill.hypotheses.find((h) => h.id === plan.hypothesis);
    const problems = hypothesis === undefined ? [`${place}: there is no hypothesis ${plan.hypothesis}`] : [];
    if (hypothesis !== undefined && !hypothesis.when.some((condition) => condition.role === 'precondition'))
      problems.push(
        `${place}: its hypothesis has no condition with role precondition, so no action could rest on it`,
      );
    for (const [i, action] of plan.actions.entries()) {
      const at = `${place}.actions[${i}]`;
      if (!ToolName.safeParse(action.tool).success) problems.push(`${at}: ${action.tool} is not a tool name`);
      problems.push(
        ...lintTarget(skill, at, action.target),
        ...lintJson(skill, at, action.params),
        ...lintSentence(skill, at, action.intent),
      );
      if ('tool' in action.rollback)
        problems.push(...lintJson(skill, `${at}.rollback`, action.rollback.params));
      if (action.canary !== undefined) problems.push(...lintCanary(skill, `${at}.canary`, action.canary));
    }
    return [...problems, ...lintChecks(skill, `${place}.verify`, plan.verify)];
  });
}

function lintCanary(
  skill: Skill,
  place: string,
  canary: NonNullable<Skill['plans'][number]['actions'][number]['canary']>,
): string[] {
  return [
    ...lintJson(skill, `${place}.params`, canary.params),
    ...lintSentence(skill, place, canary.intent),
    ...lintChecks(skill, `${place}.checks`, canary.checks),
  ];
}

function lintChecks(skill: Skill, place: string, checks: readonly SkillCheck[]): string[] {
  return checks.flatMap((check, i) => [
    ...lintRead(skill, `${place}[${i}]`, check.read),
    ...lintExpectation(skill, `${place}[${i}]`, check.expect),
    ...lintSentence(skill, `${place}[${i}]`, check.title),
  ]);
}

/** System and kind are the author's, a variable may fill cluster, namespace or name, and only with the type `name`. */
function lintTarget(skill: Skill, place: string, target: string): string[] {
  const segments = target.replace(/^mcp:\/\//, '').split('/');
  if (!target.startsWith('mcp://') || segments.length !== 5)
    return [`${place}: a target is mcp://<system>/<cluster>/<namespace>/<kind>/<name>`];
  return segments.flatMap((segment, i) => {
    if (!segment.includes('$')) return [];
    const name = variableName(segment);
    if (i === 0 || i === 3) return [`${place}: system and kind of a target are literal`];
    if (name === null) return [`${place}: a variable fills a whole segment of a target`];
    const type = skill.vars.find((entry) => entry.name === name)?.type;
    return type === 'name'
      ? []
      : [`${place}: $${name} stands in a target and must be declared with type name`];
  });
}

function lintRead(skill: Skill, place: string, run: string): string[] {
  const parsed = parsePipeline(run, { allow_vars: true });
  if (!parsed.ok) return [`${place}: ${parsed.reason} (${parsed.hint})`];
  return undeclared(skill, place, pipelineVariables(parsed.pipeline));
}

function lintExpectation(skill: Skill, place: string, expect: Expectation): string[] {
  return [
    ...lintPattern(place, expect.pattern),
    ...lintPattern(place, expect.control_pattern),
    ...lintJson(skill, place, expect.value),
  ];
}

function lintJson(skill: Skill, place: string, template: unknown): string[] {
  return undeclared(skill, place, jsonVariables(template));
}

function lintSentence(skill: Skill, place: string, sentence: string): string[] {
  return undeclared(
    skill,
    place,
    [...sentence.matchAll(/\$([a-z][a-z0-9_]{0,39})/g)].map((match) => match[1] as string),
  );
}

function undeclared(skill: Skill, place: string, names: readonly string[]): string[] {
  const declared = new Set(skill.vars.map((entry) => entry.name));
  return names
    .filter((name) => !declared.has(name))
    .map((name) => `${place}: $${name} is not declared in vars`);
}

function lintPattern(place: string, pattern: string | undefined): string[] {
  if (pattern === undefined) return [];
  try {
    RE2JS.compile(pattern);
    return [];
  } catch (error) {
    return [`${place}: the pattern is not RE2: ${(error as Error).message}`];
  }
}
