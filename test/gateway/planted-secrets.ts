import { createHash } from 'node:crypto';

/**
 * Synthetic secrets of known shapes, made when the tests run: nothing in the repository looks like one. `text` is how it
 * is met (a line of a file, a header, a log line), `secret` the part that must never leave the gateway.
 */
export interface Planted {
  readonly name: string;
  readonly text: string;
  readonly secret: string;
}

const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const DIGITS = '0123456789';
const HEX = '0123456789abcdef';
const WORD = UPPER + LOWER + DIGITS;
const URL_SAFE = `${WORD}-_`;

/** Characters that depend on the seed only, so that a failure shows itself again. */
function chars(seed: string, alphabet: string, count: number): string {
  let text = '';
  for (let block = 0; text.length < count; block += 1)
    for (const byte of createHash('sha256').update(`${seed}/${block}`).digest())
      text += alphabet[byte % alphabet.length];
  return text.slice(0, count);
}

const join = (...parts: string[]): string => parts.join('');
const word = (seed: string, count: number): string => chars(seed, WORD, count);
const hex = (seed: string, count: number): string => chars(seed, HEX, count);
const safe = (seed: string, count: number): string =>
  `${chars(seed, WORD, 1)}${chars(`${seed}+`, URL_SAFE, count - 2)}${chars(`${seed}-`, WORD, 1)}`;
const base64 = (seed: string, bytes: number): string =>
  Buffer.from(chars(seed, WORD, bytes)).toString('base64');
const random64 = (seed: string, bytes: number): string => {
  const blocks: Buffer[] = [];
  for (let block = 0; block * 32 < bytes; block += 1)
    blocks.push(createHash('sha256').update(`${seed}:${block}`).digest());
  return Buffer.concat(blocks).subarray(0, bytes).toString('base64');
};

/** A token that is a secret by itself. */
const bare = (name: string, secret: string): Planted => ({ name, text: secret, secret });
/** A secret that its surroundings give away. */
const within = (name: string, before: string, secret: string, after = ''): Planted => ({
  name,
  text: `${before}${secret}${after}`,
  secret,
});

function jwt(seed: string, claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256', typ: 'JWT' })}.${part({ sub: seed, ...claims })}.${random64(seed, 64).replaceAll(/[+/=]/g, 'x')}`;
}

function pem(kind: string, seed: string, bytes = 600): Planted {
  const body = random64(seed, bytes).replaceAll(/.{64}/g, (line) => `${line}\n`);
  const label = kind === '' ? 'PRIVATE KEY' : `${kind} PRIVATE KEY`;
  const end = kind === 'PGP' ? `${label} BLOCK` : label;
  const fence = '-'.repeat(5);
  const text = `${fence}BEGIN ${end}${fence}\n${body}\n${fence}END ${end}${fence}`;
  return { name: `pem ${label.toLowerCase()}`, text, secret: body.split('\n')[2] ?? body };
}

function luhn(digits: string): string {
  let sum = 0;
  for (let index = 0; index < digits.length; index += 1) {
    let digit = Number(digits[digits.length - 1 - index]);
    if (index % 2 === 0) digit = digit > 4 ? digit * 2 - 9 : digit * 2;
    sum += digit;
  }
  return digits + String((10 - (sum % 10)) % 10);
}
const card = (network: string, prefix: string, length: number): Planted =>
  within(
    `card ${network}`,
    'card ',
    luhn(prefix + chars(network, DIGITS, length - 1 - prefix.length)),
    ' declined',
  );

function iban(country: string, account: string): string {
  const number = (text: string): string =>
    text.replaceAll(/[A-Z]/g, (char) => String(Number.parseInt(char, 36)));
  const check = 98n - (BigInt(number(`${account}${country}00`)) % 97n);
  return `${country}${String(check).padStart(2, '0')}${account}`;
}

function clouds(): Planted[] {
  return [
    bare('aws access key', join('AK', 'IA', chars('aws', UPPER + '234567', 16))),
    bare('aws temporary key', join('AS', 'IA', chars('sts', UPPER + '234567', 16))),
    within('aws secret key', 'aws_secret_access_key = ', `${word('awssecret', 20)}/${word('aws2', 19)}`),
    within('aws session token', 'AWS_SESSION_TOKEN=', random64('session', 150)),
    within('aws bedrock key', '', join('AB', 'SK', word('bedrock', 120))),
    within(
      'aws presigned url',
      'https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature=',
      hex('presign', 64),
    ),
    bare('gcp api key', join('AI', 'za', safe('gcp', 35))),
    bare('gcp oauth token', join('ya', '29.', safe('ya29', 60))),
    bare('gcp oauth secret', join('GOC', 'SPX-', safe('gocspx', 28))),
    {
      name: 'gcp service account json',
      text: JSON.stringify({ type: 'service_account', private_key: pem('', 'gsa').text }),
      secret: pem('', 'gsa').secret,
    },
    within(
      'azure storage',
      'DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=',
      random64('azure', 64),
      ';EndpointSuffix=core.windows.net',
    ),
    within(
      'azure sas',
      'https://acme.blob.core.windows.net/c?sv=2024-11-04&sp=r&sig=',
      encodeURIComponent(random64('sas', 32)),
    ),
    within(
      'azure service bus',
      'Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=',
      random64('bus', 32),
    ),
    bare('azure ad secret', `${word('aad', 3)}8Q~${safe('aad2', 34)}`),
    bare('alibaba key', join('LT', 'AI', word('ali', 20))),
    bare('digitalocean token', join('do', 'p_v1_', hex('do', 64))),
    bare('heroku key', join('HR', 'KU-', safe('heroku', 60))),
    bare('databricks token', join('da', 'pi', hex('databricks', 32))),
    within('snowflake', 'snowflake://loader:', word('snow', 18), '@acme-eu1/db/public?warehouse=w'),
    bare('terraform cloud token', `${word('tfc', 14)}.${join('atlas', 'v1.')}${safe('tfc2', 64)}`),
    within(
      'terraform state',
      '{"resources":[{"instances":[{"attributes":{"secret":"',
      `${word('tfstate', 30)}+/`,
      '"}}]}]}',
    ),
    bare('pulumi token', join('pu', 'l-', hex('pulumi', 40))),
    bare('tailscale key', join('tsk', 'ey-auth-', word('tail', 12), '-', word('tail2', 24))),
    bare('planetscale password', join('psc', 'ale_pw_', safe('planet', 43))),
  ];
}

function services(): Planted[] {
  return [
    bare('github token', join('gh', 'p_', word('github', 36))),
    bare('github server token', join('gh', 's_', word('github-s', 36))),
    bare('github fine-grained', join('github', '_pat_', word('fine', 22), '_', word('fine2', 59))),
    bare('gitlab token', join('gl', 'pat-', safe('gitlab', 20))),
    bare('gitlab runner', join('gl', 'rt-', safe('runner', 20))),
    bare(
      'slack bot',
      join(
        'xo',
        'xb-',
        chars('slack', DIGITS, 12),
        '-',
        chars('slack2', DIGITS, 12),
        '-',
        word('slack3', 24),
      ),
    ),
    bare(
      'slack app',
      join('xa', 'pp-1-A', word('slapp', 10), '-', chars('slapp2', DIGITS, 13), '-', hex('slapp3', 64)),
    ),
    within(
      'slack webhook',
      'https://hooks.slack.com/services/',
      join('T', word('hook', 8), '/B', word('hook2', 10), '/', word('hook3', 24)),
    ),
    bare('stripe live', join('sk', '_live_', word('stripe', 24))),
    bare('stripe restricted', join('rk', '_live_', word('stripe-r', 24))),
    bare('stripe webhook', join('wh', 'sec_', word('whsec', 32))),
    bare('npm token', join('np', 'm_', word('npm', 36))),
    bare('pypi token', join('py', 'pi-AgEIcHlwaS5vcmc', safe('pypi', 120))),
    bare('rubygems', join('ruby', 'gems_', hex('gems', 48))),
    bare('docker token', join('dck', 'r_pat_', safe('docker', 27))),
    bare('vault service token', join('hv', 's.', safe('vault', 90))),
    bare('vault batch token', join('hv', 'b.', safe('vaultb', 120))),
    bare('vault old token', join('s', '.', word('vault-old', 24))),
    bare('doppler', join('dp', '.st.prd.', word('doppler', 40))),
    bare('twilio key', join('S', 'K', hex('twilio', 32))),
    within('twilio auth token', 'TWILIO_AUTH_TOKEN=', hex('twilio2', 32)),
    bare('sendgrid', join('S', 'G.', safe('sg', 22), '.', safe('sg2', 43))),
    within('mailgun', 'mailgun: ', join('ke', 'y-', hex('mailgun', 32))),
    bare('mailchimp', join(hex('mailchimp', 32), '-us', '21')),
    within('datadog api key', 'DD_API_KEY=', hex('dd', 32)),
    within('datadog app key', '"dd_app_key": "', hex('ddapp', 40), '"'),
    within('pagerduty rest', 'Authorization: Token token=', word('pd', 20)),
    within('pagerduty routing', 'routing_key: ', hex('pd2', 32)),
    bare('new relic', join('NR', 'AK-', chars('nr', UPPER + DIGITS, 27))),
    bare('grafana', join('gl', 'sa_', word('grafana', 32), '_', hex('grafana2', 8))),
    bare('sentry', join('snt', 'ryu_', hex('sentry', 64))),
    bare(
      'dynatrace',
      join('dt0', 'c01.', chars('dyn', UPPER + DIGITS, 24), '.', chars('dyn2', UPPER + DIGITS, 64)),
    ),
    bare('openai', join('s', 'k-proj-', safe('openai', 74))),
    bare('anthropic', join('s', 'k-ant-api03-', safe('anthropic', 93))),
    bare('hugging face', join('h', 'f_', word('hf', 34))),
    bare('telegram bot', join(chars('tg', '123456789', 10), ':AA', safe('tg2', 33))),
    bare('discord bot', join('M', word('discord', 23), '.', word('discord2', 6), '.', safe('discord3', 38))),
    within(
      'discord webhook',
      'https://discord.com/api/webhooks/',
      join(chars('dw', '123456789', 18), '/', safe('dw2', 68)),
    ),
    bare('linear', join('lin', '_api_', word('linear', 40))),
    bare('atlassian', join('AT', 'ATT3', safe('atlassian', 180))),
    bare('airtable', join('pa', 't', word('airtable', 14), '.', hex('airtable2', 64))),
    bare('postman', join('PM', 'AK-', hex('postman', 24), '-', hex('postman2', 34))),
    bare('shopify', join('sh', 'pat_', hex('shopify', 32))),
    bare('square', join('sq', '0atp-', safe('square', 22))),
  ];
}

function keysAndLogins(): Planted[] {
  const password = (seed: string): string => `${word(seed, 14)}!${word(`${seed}x`, 4)}`;
  return [
    pem('', 'pkcs8'),
    pem('RSA', 'rsa'),
    pem('EC', 'ec', 120),
    pem('OPENSSH', 'openssh'),
    pem('ENCRYPTED', 'enc'),
    pem('PGP', 'pgp'),
    bare('jwt', jwt('user', { aud: 'api' })),
    bare(
      'kubernetes service account token',
      jwt('system:serviceaccount:spark-jobs:driver', { iss: 'kubernetes/serviceaccount' }),
    ),
    within('bearer header', 'Authorization: Bearer ', word('bearer', 40)),
    within('basic header', 'authorization: Basic ', base64('basic', 24)),
    within('basic url', 'https://deploy:', password('basicurl'), '@git.example.com/acme/app.git'),
    within('postgres', 'postgres://app:', password('pg'), '@db.internal:5432/orders'),
    within('mysql', 'mysql://root:', password('mysql'), '@mysql:3306/shop'),
    within('mongodb', 'mongodb+srv://svc:', password('mongo'), '@cluster0.example.net/x'),
    within('redis', 'redis://:', password('redis'), '@cache:6379/0'),
    within('amqp', 'amqps://mq:', password('amqp'), '@rabbit:5671/%2f'),
    within('mssql', 'Server=tcp:sql.example.net;User ID=sa;Password=', password('mssql'), ';Encrypt=true'),
    within('jdbc', 'jdbc:mysql://db/x?user=app&password=', password('jdbc'), '&ssl=true'),
    within('go dsn', 'app:', password('dsn'), '@tcp(db:3306)/orders'),
    within('jdbc oracle', 'jdbc:oracle:thin:scott/', password('ora'), '@//ora:1521/x'),
    within('libpq', 'host=db user=app password=', password('libpq'), ' sslmode=require'),
    within('kafka jaas', 'PlainLoginModule required username="app" password="', password('jaas'), '";'),
    within('netrc', 'machine git.example.com login deploy password ', password('netrc')),
    within('npmrc', '//registry.example.com/:_authToken=', word('npmrc', 36)),
    within('npmrc basic', '_auth=', Buffer.from(`deploy:${word('npmrc2', 20)}`).toString('base64')),
    within(
      'docker config',
      '{"auths":{"registry.example.com":{"auth":"',
      Buffer.from(`ci:${word('dockercfg', 22)}`).toString('base64'),
      '"}}}',
    ),
    within('kubeconfig token', '    token: ', word('kubeconfig', 48)),
    within(
      'kubeconfig key',
      '    client-key-data: ',
      Buffer.from(pem('RSA', 'kube', 300).text).toString('base64'),
    ),
    within('env file', 'STRIPE_WEBHOOK_SECRET="', password('env'), '"'),
    within('env file quoted words', "ADMIN_PASSWORD='", `correct ${word('horse', 6)} staple`, "'"),
    within('yaml', 'db_password: ', password('yaml')),
    within('json', '{"client_secret":"', password('json'), '"}'),
    within('properties', 'spring.datasource.password=', password('spring')),
    within('kubernetes env as text', '{"name":"DB_PASSWORD","value":"', password('kenv'), '"}'),
    within('cookie', 'Cookie: theme=dark; session=', word('cookie', 32), '; lang=de'),
    within('set-cookie', 'Set-Cookie: sid=', word('setcookie', 32), '; Path=/; HttpOnly'),
    within('session header', 'X-Session-Id: ', hex('sess', 32)),
    within('vault header', 'X-Vault-Token: ', word('vhead', 26)),
    within('api key header', 'x-api-key: ', word('xapi', 30)),
  ];
}

function people(): Planted[] {
  return [
    within('email', 'user ', join('kim.berg', '@', 'example.com'), ' logged in'),
    within('email with tag', 'to=', join('ana+alerts', '@', 'mail.example.co.uk')),
    within('ipv4', 'client=', '10.20.31.114', ':34567 connected'),
    within('ipv6', 'peer ', '2001:db8:85a3::8a2e:370:7334', ' up'),
    within('phone', 'call ', '+49 170 1234567', ' now'),
    within('us phone', 'call ', '(555) 123-4567', ' now'),
    card('visa', '4', 16),
    card('mastercard', '53', 16),
    card('amex', '37', 15),
    card('discover', '6011', 16),
    card('diners', '36', 14),
    card('jcb', '35', 16),
    within('card in groups', 'card ', luhn('411111111111111').replaceAll(/(.{4})(?=.)/g, '$1 '), ' ok'),
    within('iban', 'to ', iban('DE', '370400440532013000'), ' sent'),
    within(
      'iban in groups',
      'to ',
      iban('GB', 'WEST12345698765432').replaceAll(/(.{4})(?=.)/g, '$1 '),
      ' sent',
    ),
    within('ssn', 'ssn ', '219-09-9999', ' on file'),
  ];
}

export const PLANTED: readonly Planted[] = [...clouds(), ...services(), ...keysAndLogins(), ...people()];
