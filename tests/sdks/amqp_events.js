// Azure's unmodified Event Hubs reader for Node: amqp_events.js VERB JSON-ARGUMENTS; one JSON line per event.
// Over WebSocket when WEBSOCKET is set.
//   describe               what $management says
//   read {count, from}     all partitions, from "earliest", "latest" or {partition, sequence|offset|time}
//   steal                  two readers of a partition, the second with a higher owner level
'use strict';
const { EventHubConsumerClient, earliestEventPosition, latestEventPosition } = require('@azure/event-hubs');

const print = (what) => console.log(JSON.stringify(what));
const options = process.env.WEBSOCKET ? { webSocketOptions: { webSocket: require('ws') } } : {};
const client = () => new EventHubConsumerClient('$Default', process.env.EVENT_HUB_CONNECTION_STRING, options);

function position(from) {
  if (from === 'latest') return latestEventPosition;
  if (!from || from === 'earliest') return earliestEventPosition;
  if (from.sequence !== undefined) return { sequenceNumber: from.sequence, isInclusive: !!from.inclusive };
  if (from.offset !== undefined) return { offset: String(from.offset), isInclusive: !!from.inclusive };
  return { enqueuedOn: new Date(from.time) };
}
const shown = (event, partition) => ({
  event: 'event', partition, sequence: event.sequenceNumber, offset: event.offset,
  enqueued: event.enqueuedTimeUtc, body: event.body, contentType: event.contentType, messageId: event.messageId,
  correlationId: event.correlationId, properties: event.properties, system: event.systemProperties,
});

const verbs = {
  describe: async () => {
    const reader = client();
    const hub = await reader.getEventHubProperties();
    const partitions = [];
    for (const id of hub.partitionIds) partitions.push(await reader.getPartitionProperties(id));
    await reader.close();
    print({ event: 'described', hub, partitions });
  },
  read: async ({ count, from }) => {
    const reader = client();
    let seen = 0;
    await new Promise((resolve, reject) => {
      const handlers = {
        processInitialize: async (context) => print({ event: 'reading', partition: context.partitionId }),
        processEvents: async (events, context) => {
          for (const event of events) print(shown(event, context.partitionId));
          seen += events.length;
          if (seen >= count) resolve();
        },
        processError: async (error) => reject(error),
      };
      const options = { startPosition: position(from), maxWaitTimeInSeconds: 1, maxBatchSize: 500, trackLastEnqueuedEventProperties: true };
      if (from && from.partition !== undefined) reader.subscribe(from.partition, handlers, options);
      else reader.subscribe(handlers, options);
    });
    await reader.close();
  },
  steal: async () => {
    const first = client();
    const second = client();
    const lost = new Promise((resolve) => {
      first.subscribe('0', { processEvents: async () => {}, processError: async (error) => resolve(error) },
        { ownerLevel: 1, startPosition: earliestEventPosition, maxWaitTimeInSeconds: 1 });
    });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    second.subscribe('0', { processEvents: async () => {}, processError: async (error) => print({ event: 'second', code: error.code }) },
      { ownerLevel: 2, startPosition: earliestEventPosition, maxWaitTimeInSeconds: 1 });
    const error = await lost;
    print({ event: 'stolen', code: error.code, message: error.message });
    await Promise.all([first.close(), second.close()]);
  },
};

const [verb, text] = process.argv.slice(2);
verbs[verb](JSON.parse(text || '{}'))
  .then(() => { print({ event: 'done' }); process.exit(0); })
  .catch((error) => { print({ event: 'error', code: error.code, name: error.name, message: error.message }); process.exit(1); });
