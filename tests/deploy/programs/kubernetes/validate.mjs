// Reads Kubernetes objects as YAML from standard input, holds each against its schema, and prints them as JSON.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";

const require = createRequire(import.meta.url);
const objects = parseAllDocuments(readFileSync(0, "utf8")).map((one) => {
  if (one.errors.length) throw one.errors[0];
  return one.toJS();
}).filter((one) => one !== null);

for (const one of objects) {
  const version = one.apiVersion;
  const home = version.startsWith("monitoring.coreos.com/") ? "@kubernetes-models/prometheus-operator" : "kubernetes-models";
  const kinds = require(`./node_modules/${home}/${version}/index.js`); // not all are among the package's exports
  const Kind = kinds[one.kind];
  if (!Kind) throw new Error(`${version} has no ${one.kind}`);
  try {
    new Kind(one).validate();
  } catch (error) {
    console.error(`${one.kind} ${one.metadata.name}: ${error.message}`);
    process.exit(1);
  }
}
console.log(JSON.stringify(objects));
