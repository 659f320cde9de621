// Asks for flags with OpenFeature's provider for servers, one request a flag: questions on stdin, details out.
import { readFileSync } from "node:fs";
import { OpenFeature } from "@openfeature/server-sdk";
import { OFREPProvider } from "@openfeature/ofrep-provider";

const { address, key, questions } = JSON.parse(readFileSync(0, "utf8"));

const headers = [["Authorization", `Bearer ${key}`]];
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: address, headers }));
const client = OpenFeature.getClient();

const details = [];
for (const { flag, context } of questions) {
  details.push(await client.getObjectDetails(flag, { fallback: true }, context));
}
process.stdout.write(JSON.stringify(details));
await OpenFeature.close();
