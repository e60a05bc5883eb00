import { parentPort } from 'node:worker_threads';
import { skillCognition } from '../../../src/cognition/cognition.ts';
import { connectWorld } from '../../../src/cognition/serve-world.ts';
import { IncidentContext } from '../../../src/contract/incident.ts';

/** The whole of cognition in a thread of its own: it has the World's port and nothing else. */
const { investigate, plan } = skillCognition();

parentPort?.once('message', (message: { incident: unknown; port: Parameters<typeof connectWorld>[0] }) => {
  const incident = IncidentContext.parse(message.incident);
  const world = connectWorld(message.port);
  void (async () => {
    const findings = await investigate(world, incident);
    const planned = await plan(world, incident, findings);
    parentPort?.postMessage({ findings, planned, env: { ...process.env } });
    message.port.close();
  })();
});
