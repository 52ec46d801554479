// One back-end operation on Azure's unmodified Node SDK: node_service.js VERB JSON-ARGUMENTS; prints one JSON line.
'use strict';
const { Registry, Client } = require('azure-iothub');

const connection = process.env.IOTHUB_SERVICE_CONNECTION_STRING;
const registry = Registry.fromConnectionString(connection);
const names = {
  DeviceAlreadyExistsError: 'already_exists', DeviceNotFoundError: 'device_not_found', InvalidEtagError: 'precondition_failed',
  GatewayTimeoutError: 'device_timeout', UnauthorizedError: 'unauthorized',
};

const verbs = {
  create: async ({ id }) => (await registry.create({ deviceId: id })).responseBody,
  get: async ({ id }) => (await registry.get(id)).responseBody,
  remove: async ({ id }) => { await registry.delete(id); return {}; },
  list: async () => (await registry.list()).responseBody.map((device) => device.deviceId),
  twin: async ({ id }) => (await registry.getTwin(id)).responseBody.toJSON(),
  patch: async ({ id, patch, etag }) => (await registry.updateTwin(id, patch, etag || '*')).responseBody.toJSON(),
  method: async ({ id, name, payload, timeout }) => (await Client.fromConnectionString(connection).invokeDeviceMethod(
    id, { methodName: name, payload, responseTimeoutInSeconds: timeout || 30, connectTimeoutInSeconds: 0 })).result,
  query: async ({ text, page }) => {
    const query = registry.createQuery(text, page || 100);
    const rows = [];
    while (query.hasMoreResults) rows.push(...(await query.next()).result);
    return rows;
  },
};

function classify(error) {
  const body = String(error.responseBody || '') + String(error.message || '');
  if (/404103/.test(body)) return 'device_offline';
  if (/404001|DeviceNotFound/.test(body)) return 'device_not_found';
  return names[error.name] || error.name;
}
const [verb, text] = process.argv.slice(2);
verbs[verb](JSON.parse(text))
  .then((value) => console.log(JSON.stringify({ ok: true, value })))
  .catch((error) => console.log(JSON.stringify({ ok: false, error: classify(error), text: String(error) })));
