import type { Detector } from './detector.ts';
import { CARD, EMAIL, IBAN, IPV4, IPV6, PHONE, SSN } from './personal-detectors.ts';
import {
  ASSIGNMENT,
  BEARER,
  CLOUD_KEY,
  CONNECTION_STRING,
  COOKIE,
  JWT,
  KEY_LINE,
  LOGIN_FILE,
  NAMED_VALUE,
  PRIVATE_KEY,
  SIGNED_URL,
} from './secret-detectors.ts';
import { SERVICE_TOKEN } from './token-shapes.ts';

/**
 * The built-in detectors, in the order in which they run: what may contain another comes first. Each is a vetted, linear
 * pattern behind a cheap test for something that it cannot match without, so that clean text costs almost nothing.
 */
export const DETECTORS = {
  private_key: PRIVATE_KEY,
  key_line: KEY_LINE,
  connection_string: CONNECTION_STRING,
  cookie: COOKIE,
  bearer: BEARER,
  jwt: JWT,
  cloud_key: CLOUD_KEY,
  service_token: SERVICE_TOKEN,
  signed_url: SIGNED_URL,
  login_file: LOGIN_FILE,
  named_value: NAMED_VALUE,
  assignment: ASSIGNMENT,
  email: EMAIL,
  card: CARD,
  iban: IBAN,
  ssn: SSN,
  phone: PHONE,
  ipv4: IPV4,
  ipv6: IPV6,
} as const satisfies Readonly<Record<string, Detector>>;
export type DetectorName = keyof typeof DETECTORS;
