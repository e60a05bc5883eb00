import { Command, CommanderError } from 'commander';
import type { CredentialsOptions } from './credentials.ts';
import type { DecideOptions } from './decide.ts';
import type { LedgerOptions } from './ledger.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT } from './output.ts';
import type { TokenOptions } from './token.ts';

/**
 * The command line: one file per verb, loaded when it is used. Exit 0 done, 1 refused or failed, 2 bad usage; errors
 * name the thing, the reason and the next step, and show a stack trace only with --debug.
 */
const program = new Command('aegis')
  .description(
    'Trustworthy operator for SRE teams: evidence, plan, approval, exactly-once execution, ledger.',
  )
  .option('-c, --config <file>', 'configuration file (default: $AEGIS_CONFIG, then ./aegis.yaml)')
  .option('--json', 'print one JSON object instead of text')
  .option('--debug', 'show debug logs and stack traces')
  .showHelpAfterError('(run "aegis help" for the verbs, "aegis help <verb>" for one)')
  .exitOverride();

const globals = (): GlobalOptions => program.opts<GlobalOptions>();

program
  .command('init')
  .description('write a commented aegis.yaml')
  .option('--force', 'overwrite an existing file')
  .action(async (o: { force?: boolean }) => (await import('./init.ts')).init(globals(), o));
program
  .command('start')
  .description('run Aegis until it is stopped')
  .action(async () => (await import('./start.ts')).start(globals()));
program
  .command('lab')
  .argument('[scenario]', 'what happens in the simulated world', 'spark-driver-oom')
  .description('run the unchanged product against simulated systems on this machine')
  .option('--hands-off', 'simulated people act; ends by itself')
  .option('--shadow', 'Aegis only proposes and simulated people repair by hand; ends by itself')
  .option('--limited', 'nobody is asked: Aegis acts alone within its caps; ends by itself')
  .option('--port <n>', 'port of the page of the simulated workspace', '7007')
  .action(
    async (scenario: string, o: { handsOff?: boolean; shadow?: boolean; limited?: boolean; port: string }) =>
      (await import('./lab.ts')).lab(globals(), scenario, o),
  );
program
  .command('doctor')
  .description('check configuration, home, ledger and every system that Aegis talks to')
  .action(async () => (await import('./doctor.ts')).doctor(globals()));

for (const verb of ['read', 'head', 'tail', 'grep', 'find', 'diff'] as const)
  program
    .command(verb)
    .argument('<words...>', `what to ${verb}, as in a pipeline: path, pattern, flags; use -- before flags`)
    .description(
      `${verb} the world as files, for example: aegis ${verb === 'grep' ? 'grep OOM /teams/data/prod/logs/driver.log -- --since 1h' : `${verb} /teams/data/prod/jobs`}`,
    )
    .allowUnknownOption()
    .action(async (words: string[]) => (await import('./read-world.ts')).readWorld(globals(), verb, words));
program
  .command('ls')
  .argument('[path]', 'directory', '/')
  .description('list a directory of the world')
  .action(async (path: string) => (await import('./read-world.ts')).listWorld(globals(), path));
program
  .command('explain')
  .argument('<pipeline>', 'a pipeline in quotes')
  .description('show what a pipeline sends to its source and what runs here')
  .action(async (pipeline: string) => (await import('./read-world.ts')).explainWorld(globals(), pipeline));

program
  .command('incidents')
  .description('list incidents, newest first')
  .option('--all', 'closed ones too')
  .action(async (o: { all?: boolean }) => (await import('./incidents.ts')).incidents(globals(), o));
program
  .command('ladder')
  .argument('[place]', 'team/environment or team/environment/service; without it all are listed')
  .description('show how much autonomy every service has earned, and what the next step needs')
  .action(async (place: string | undefined) => (await import('./ladder.ts')).ladder(globals(), place));
program
  .command('ledger')
  .argument('<action>', 'verify | show | export | key | accept-rewind')
  .argument('[chain]', 'incident id, SYSTEM or CHECKPOINT; accept-rewind: the reason, in quotes')
  .option('--witness', 'verify: also compare with the append-only witness file')
  .option('--checkpoint <seq:hash>', 'verify: also compare with a checkpoint from the audit channel')
  .option('--file <file>', 'verify: an exported file instead of the database; needs nothing else')
  .option('--key <file>', 'verify --file: the public key that the file must be signed with')
  .option('--out <file>', 'export: a new file (mode 0600) instead of standard output')
  .option('--token-file <file>', 'accept-rewind: holds your own token; default: $AEGIS_PERSON_TOKEN')
  .description(
    'verify the hash chains, show the entries of one, export them, print the public key, accept an older database',
  )
  .action(async (action: string, chain: string | undefined, o: LedgerOptions) =>
    (await import('./ledger.ts')).ledger(globals(), action, chain, o),
  );
program
  .command('replay')
  .argument('<incident>', 'incident id')
  .description('fold an incident from its ledger alone and compare with the live state')
  .action(async (incident: string) => (await import('./replay.ts')).replay(globals(), incident));
program
  .command('fsm')
  .description('print the state machine as a Mermaid diagram')
  .action(async () => (await import('./fsm.ts')).fsm(globals()));
program
  .command('schema')
  .argument('[name]', 'contract name; without it the names are listed')
  .description('print the JSON Schema of a contract')
  .action(async (name: string | undefined) => (await import('./schema.ts')).schema(globals(), name));
program
  .command('skills')
  .argument('<action>', 'list | show | lint | index')
  .argument('[name]', 'skill name')
  .description('list, show and check skills, or write their index')
  .action(async (action: string, name: string | undefined) =>
    (await import('./skills.ts')).skills(globals(), action, name),
  );
program
  .command('policy')
  .argument('<action>', 'check | test | explain')
  .argument('[request]', 'explain: JSON file with the request, or - for standard input')
  .description('check the rules in policies/, run their tests, say which rule decides a request')
  .action(async (action: string, request: string | undefined) =>
    (await import('./policy.ts')).policy(globals(), action, request),
  );
program
  .command('token')
  .argument('<action>', 'mint | list | revoke')
  .argument('[id]', 'revoke: id of the token')
  .option('--person <principal>', 'mint: a person of the identity map, who decides with it outside Slack')
  .option('--principal <name>', 'mint: who will hold it')
  .option('--scope <team/env>', 'mint: what it may read')
  .option('--incident <id>', 'mint: the incident that its reads belong to')
  .option('--class <class>', 'mint: action class; only read can be given away', 'read')
  .option('--ttl <time>', 'mint: how long it lives, for example 30m, 8h, 2d', '1h')
  .description(
    'let an agent read through the gateway or a person decide outside Slack; see who may, take it back',
  )
  .action(async (action: string, id: string | undefined, o: TokenOptions) =>
    (await import('./token.ts')).token(globals(), action, id, o),
  );
program
  .command('credentials')
  .argument('<action>', 'seal | list | remove')
  .argument('[name]', 'name of the credential')
  .option('--username <name>', 'seal: the value is the password of this account')
  .option('--access-key-id <id>', 'seal: the value is the secret of this AWS key')
  .description('keep standing credentials in a sealed file, for systems without Vault')
  .action(async (action: string, name: string | undefined, o: CredentialsOptions) =>
    (await import('./credentials.ts')).credentials(globals(), action, name, o),
  );
program
  .command('upstreams')
  .argument('<action>', 'list | diff | approve')
  .argument('[server]', 'name of an external MCP server in aegis.yaml')
  .argument('[tool]', 'one of its tools')
  .option('--seen <mark>', 'approve: the mark that diff printed with what you looked at')
  .description('look at what external MCP servers say of their tools, and approve it')
  .action(
    async (action: string, server: string | undefined, tool: string | undefined, o: { seen?: string }) =>
      (await import('./upstreams.ts')).upstreams(globals(), action, server, tool, o),
  );
for (const [verb, description] of [
  ['approve', 'approve a plan with your own token, outside Slack'],
  ['deny', 'deny a plan; it ends, and the reason goes into the next one'],
  ['withdraw', 'take your approval back, until the first step runs'],
] as const) {
  const command = program
    .command(verb)
    .argument('<approval>', 'approval id, for example APR-7')
    .option(
      '--token-file <file>',
      'private file with your own token, - for standard input; default: $AEGIS_PERSON_TOKEN',
    )
    .option('--wait <seconds>', 'how long to wait for the answer', '30')
    .description(description);
  if (verb === 'approve')
    command.option(
      '--plan-hash <digits>',
      'for scripts: 12 or more first digits of the plan that somebody has read',
    );
  if (verb === 'deny')
    command
      .option('--reason <text>', 'why, 10 to 500 characters')
      .option('--because <kind>', 'wrong_cause, too_risky, wrong_time or other', 'other');
  command.action(async (approval: string, o: DecideOptions) =>
    (await import('./decide.ts')).decide(globals(), verb, approval, o),
  );
}
program
  .command('freeze')
  .argument('<scope>', '"*", team, team/env or team/env/service')
  .argument('<reason...>', 'why, for everybody who will read it')
  .option('--until <time>', 'ISO time at which the freeze ends')
  .description('stop every write in a scope at once')
  .action(async (scope: string, reason: string[], o: { until?: string }) =>
    (await import('./freeze.ts')).freeze(globals(), scope, reason.join(' '), o),
  );
program
  .command('unfreeze')
  .argument('<scope>')
  .argument('<reason...>')
  .description('lift a freeze')
  .action(async (scope: string, reason: string[]) =>
    (await import('./freeze.ts')).unfreeze(globals(), scope, reason.join(' ')),
  );
program
  .command('stop')
  .argument('<incident>', 'incident id')
  .argument('[reason...]')
  .description('stop one incident: no further call is dispatched for it')
  .action(async (incident: string, reason: string[]) =>
    (await import('./stop.ts')).stopIncident(globals(), incident, reason.join(' ')),
  );

/** Runs one command line, given without the program's own name, and leaves its exit code in `process.exitCode`. */
export async function run(words: readonly string[]): Promise<void> {
  try {
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has told the person on standard error; a script reads the same as JSON.
      if (error.exitCode !== 0 && words.includes('--json'))
        process.stdout.write(`${JSON.stringify({ error: error.message })}\n`);
      process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
      return;
    }
    const debug = globals().debug === true;
    const text =
      error instanceof Error ? (debug ? (error.stack ?? error.message) : error.message) : String(error);
    if (globals().json === true)
      process.stdout.write(`${JSON.stringify({ error: error instanceof Error ? error.message : text })}\n`);
    else process.stderr.write(`aegis: ${text}\n`);
    process.exitCode = error instanceof CliError ? error.exit_code : EXIT.refused;
  }
}
