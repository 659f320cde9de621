// Follows one visitor with OpenFeature's provider for browsers: contexts on stdin, after each one what was asked and
// what the page would show, out. Every answer is the provider's own; fetch is only watched.
import { readFileSync } from "node:fs";
import { OpenFeature } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";

const { address, key, flags, contexts } = JSON.parse(readFileSync(0, "utf8"));

let asked = [];
async function watchedFetch(request, options) {
  const response = await fetch(request, options);
  asked.push({ ifNoneMatch: request.headers.get("If-None-Match"), status: response.status });
  return response;
}

const provider = new OFREPWebProvider({
  baseUrl: address,
  headers: [["X-API-Key", key]],
  fetchImplementation: watchedFetch,
  changeDetection: "none",
});

const steps = [];
for (const [position, context] of contexts.entries()) {
  asked = [];
  if (position === 0) {
    await OpenFeature.setContext(context);
    await OpenFeature.setProviderAndWait(provider);
  } else {
    await OpenFeature.setContext(context);
  }
  const client = OpenFeature.getClient();
  const details = flags.map((flag) => client.getObjectDetails(flag, { fallback: true }));
  steps.push({ asked, details });
}
process.stdout.write(JSON.stringify(steps));
await OpenFeature.close();
