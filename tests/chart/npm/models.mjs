// Judges custom resources by the models of their operators. Reads a JSON list of objects on stdin,
// prints a JSON list of what is wrong, one line for each object that fails. Types, patterns and
// required keys are checked; unknown keys are not.
import * as keda from "@kubernetes-models/keda/keda.sh/v1alpha1";
import * as gateway from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1";
import * as prometheus from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

const models = {
  "keda.sh/v1alpha1": keda,
  "gateway.networking.k8s.io/v1": gateway,
  "monitoring.coreos.com/v1": prometheus,
};

let text = "";
for await (const part of process.stdin) text += part;
const problems = [];
for (const object of JSON.parse(text)) {
  const name = `${object.kind} ${object.metadata.name}`;
  const Model = models[object.apiVersion]?.[object.kind];
  if (!Model) {
    problems.push(`${name}: no model of ${object.apiVersion} ${object.kind}`);
    continue;
  }
  try {
    new Model(object).validate();
  } catch (error) {
    problems.push(`${name}: ${error.message}`);
  }
}
process.stdout.write(JSON.stringify(problems));
