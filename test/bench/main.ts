import { parseArgs } from 'node:util';
import { BENCHES } from './benches.ts';

// npm run bench -- [name] [--json] [--brief]: one object a line, or a sentence; `--brief` shows that it works. Exit 0 measured, 1 failed, 2 bad usage.
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      brief: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const [name] = positionals;
  const known = BENCHES.map((bench) => `  ${bench.name.padEnd(12)} ${bench.about}`).join('\n');
  if (values.help) {
    console.log(`npm run bench -- [name] [--json] [--brief]\n\n${known}`);
    return 0;
  }
  const chosen = name === undefined ? BENCHES : BENCHES.filter((bench) => bench.name === name);
  if (chosen.length === 0 || positionals.length > 1) {
    console.error(`there is no bench "${positionals.join(' ')}". Known:\n${known}`);
    return 2;
  }
  for (const bench of chosen)
    for (const m of await bench.run({ brief: values.brief }))
      console.log(
        values.json
          ? JSON.stringify(m)
          : `${m.name}: ${m.value} ${m.unit} (floor ${m.floor} ${m.unit}, ratio ${m.ratio}, n ${m.n})`,
      );
  return 0;
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  return 1;
});
