// The first generation of Azure's Event Hubs reader for Node, unmodified: the one that asks the IoT hub where its event
// endpoint is, and follows the redirect. amqp_events_old.js read {count}: all partitions from the beginning, as JSON lines.
'use strict';
const { EventHubClient, EventPosition } = require('azure-event-hubs');

const print = (what) => console.log(JSON.stringify(what));

(async () => {
  const { count } = JSON.parse(process.argv[3] || '{}');
  const client = await EventHubClient.createFromIotHubConnectionString(process.env.IOTHUB_SERVICE_CONNECTION_STRING);
  const hub = await client.getHubRuntimeInformation();
  print({ event: 'described', hub });
  let seen = 0;
  await new Promise((resolve, reject) => {
    for (const id of hub.partitionIds)
      client.receive(id, (event) => {
        print({ event: 'event', partition: id, sequence: event.sequenceNumber, body: event.body,
          properties: event.applicationProperties, system: event.annotations });
        if (++seen >= count) resolve();
      }, reject, { eventPosition: EventPosition.fromStart() });
  });
  await client.close();
})()
  .then(() => { print({ event: 'done' }); process.exit(0); })
  .catch((error) => { print({ event: 'error', name: error.name, message: error.message }); process.exit(1); });
