// Decides for many visitors with GrowthBook's JavaScript SDK: a question on stdin, one list of results per visitor out.
import { readFileSync } from "node:fs";
import { GrowthBookClient } from "@growthbook/growthbook";

const { address, clientKey, features, visitors } = JSON.parse(readFileSync(0, "utf8"));

const client = new GrowthBookClient({ apiHost: address, clientKey });
const loaded = await client.init({ timeout: 10_000 });
if (!loaded.success) throw loaded.error ?? new Error("the payload was not loaded");

const results = visitors.map((attributes) =>
  features.map((feature) => {
    const { source, ruleId, value, experimentResult } = client.evalFeature(feature, { attributes });
    return [source, ruleId, experimentResult?.key ?? "", value];
  }),
);
process.stdout.write(JSON.stringify(results));
client.destroy();
