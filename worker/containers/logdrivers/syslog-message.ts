/**
 * Lines as syslog messages. Pure.
 * Source: RFC 3164, RFC 5424, RFC 5425 4.3 (octet counting on TLS), and Docker's syslog-format option.
 */
import { utcText } from "../streams/log-time.js";
import type { LogEncoder, LogMessage, LogOrigin } from "./log-message.js";

/** By number. */
export const SYSLOG_FACILITIES: readonly string[] = (
  "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp - - - - " +
  "local0 local1 local2 local3 local4 local5 local6 local7"
).split(" ");
export const SYSLOG_FORMATS: readonly string[] = ["", "rfc3164", "rfc5424", "rfc5424micro"];

const INFO = 6;
const ERROR = 3;
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

export interface SyslogStyle {
  readonly facility: string;
  readonly format: string;
  readonly transport: string;
  /** Of this daemon. */
  readonly pid: number;
}

export function syslogEncoder(origin: LogOrigin, style: SyslogStyle): LogEncoder {
  const named = SYSLOG_FACILITIES.indexOf(style.facility);
  const facility = named >= 0 && style.facility !== "-" ? named : Number(style.facility);
  const { hostname, tag } = origin;
  const id = `${tag}[${style.pid}]`;
  const head = (message: LogMessage): string => {
    const priority = `<${facility * 8 + (message.stream === "stderr" ? ERROR : INFO)}>`;
    const utc = utcText(message.timestamp);
    switch (style.format) {
      case "rfc5424":
        return `${priority}1 ${utc.slice(0, 19)}Z ${hostname} ${tag} ${style.pid} ${tag} - `;
      case "rfc5424micro":
        return `${priority}1 ${utc.slice(0, 26)}Z ${hostname} ${tag} ${style.pid} ${tag} - `;
      case "rfc3164":
        return `${priority}${stamp(utc)} ${hostname} ${id}: `;
      default:
        return `${priority}${stamp(utc)} ${id}: `;
    }
  };
  const counted = style.transport === "tls" && style.format.startsWith("rfc5424");
  return (message) => {
    const framed = Buffer.concat([Buffer.from(head(message)), message.text, Buffer.from("\n")]);
    return [counted ? Buffer.concat([Buffer.from(`${framed.length} `), framed]) : framed];
  };
}

/** "Nov  1 06:07:08" */
function stamp(utc: string): string {
  const month = MONTHS[Number(utc.slice(5, 7)) - 1] ?? "Jan";
  return `${month} ${String(Number(utc.slice(8, 10))).padStart(2, " ")} ${utc.slice(11, 19)}`;
}
