/** Which addresses a redirect may lead to: a server on the internet must not make us ask machines beside us. */
import { BlockList, isIP } from "node:net";

/** Not on the public internet: IANA's special-purpose registries (RFC 6890), and IPv6 forms that carry an IPv4 address. */
const PRIVATE_4 = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
] as const;
const PRIVATE_6 = [
  ["::", 96],
  ["::ffff:0:0", 96],
  ["64:ff9b::", 96],
  ["64:ff9b:1::", 48],
  ["100::", 64],
  ["2002::", 16],
  ["2001::", 32],
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["ff00::", 8],
] as const;

const list4 = new BlockList();
for (const [net, bits] of PRIVATE_4) list4.addSubnet(net, bits, "ipv4");
// Lists of their own: Node compares an IPv4 address also with rules for the IPv6 addresses that carry it.
const list6 = new BlockList();
for (const [net, bits] of PRIVATE_6) list6.addSubnet(net, bits, "ipv6");

/** Whether an address in numbers is private, local or special. Addresses that cannot be read count as such. */
export function isPrivateAddress(address: string): boolean {
  const [plain = ""] = address.replace(/^\[|\]$/g, "").split("%");
  const version = isIP(plain);
  if (version === 4) return list4.check(plain, "ipv4");
  return version === 6 ? list6.check(plain, "ipv6") : true;
}

/** The address of a URL's host if the URL gives it in numbers. */
export function literalAddress(url: URL): string | undefined {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return isIP(host) ? host : undefined;
}
